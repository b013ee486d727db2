"""A client as people write them: it stays connected, and sends its tokens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
import websockets.asyncio.client
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage
from websockets.typing import Subprotocol

from tests.history.history import Event, Happening, Track
from tests.history.tokens import Token, Wallet

OPEN_TIMEOUT = 2.0
SILENCE = 4.0
"""After so long without a word a client takes the connection for dead; there are heartbeats."""

FIRST_WAIT = 0.1
MOST_WAIT = 1.0
"""Waits between attempts double from the first to the last, with jitter."""

RESTS = 0.005
"""After so many of its messages a slow client rests."""

RECEIVE_BUFFER = 4096

Place = tuple[str, int]
"""Epoch and seq."""

_decode = msgspec.json.Decoder().decode


class Client(ABC):
    """A client that stays connected through the balancer until it is stopped.

    Args:
        track: where it writes down what happens.
        url: of the balancer, to which the name is appended.
        clock: seconds since the run began.
        slow: now and then it reads nothing for a while.
        seed: of its waits.
        wallet: where its tokens come from; None: nobody asks for one.
        renews: it shows another token before one expires; else it comes back with another.
    """

    def __init__(
        self,
        track: Track,
        *,
        url: str,
        clock: Callable[[], float],
        slow: bool = False,
        seed: str = "",
        wallet: Wallet | None = None,
        renews: bool = True,
    ) -> None:
        self.track = track
        self._url = f"{url}{track.name}"
        self._clock = clock
        self._slow = slow
        self._wallet = wallet
        self._renews = renews
        self._token: Token | None = None
        """Which the server has taken."""
        self._shown: deque[Token] = deque()
        self._hurried = asyncio.Event()
        self._random = random.Random(f"{seed} {track.name}")
        self._task: asyncio.Task[None] | None = None
        self._connection: websockets.asyncio.client.ClientConnection | None = None
        self._node = ""
        self.is_subscribed = asyncio.Event()
        """Set once it had everything for the first time."""

    @property
    def is_connected(self) -> bool:
        """Whether it has a connection now."""
        return self._connection is not None

    def start(self) -> None:
        """Begin, in the background."""
        self._task = asyncio.create_task(self._run(), name=self.track.name)

    def hurry(self) -> None:
        """Be slow no more, and have all rights."""
        self._slow = False
        if self._wallet is not None:
            self._wallet.widen()
        self._hurried.set()

    async def stop(self) -> None:
        """Stop without a goodbye; raise what went wrong meanwhile."""
        assert self._task is not None
        failed = self._task.done()
        self._task.cancel()
        await asyncio.wait([self._task])
        self._write("stopped")
        if failed:
            self._task.result()

    @abstractmethod
    def place(self, topic: str) -> Place | int | None:
        """Return how far it is in a topic: a position, or the book number of a base client."""

    @abstractmethod
    async def _begin(self) -> None:
        """Send the first messages of a connection."""

    @abstractmethod
    async def _hear(self, message: Any) -> None:
        """Take a message."""

    @abstractmethod
    async def _tend(self) -> None:
        """Do the periodic work of a connected client."""

    def _write(self, what: Happening, **more: Any) -> None:
        self.track.events.append(Event(self._clock(), what, node=self._node, **more))

    async def _say(self, message: dict[str, Any]) -> None:
        assert self._connection is not None
        text = json.dumps(message)
        self._write("said", message=msgspec.Raw(text.encode()))
        await self._connection.send(text)

    @property
    def _shows_first(self) -> bool:
        """Whether it shows its first token in the handshake."""
        return self._wallet is not None

    async def _renew(self) -> None:
        """Show a token in a message."""
        assert self._wallet is not None
        token = self._wallet.issue()
        self._shown.append(token)
        self._note_token("renewed", token)
        await self._say({"action": "authenticate", "token": token.text})

    def _note_token(self, what: Happening, token: Token) -> None:
        self._write(what, seconds=token.until, detail=",".join(token.symbols or ()))

    async def _run(self) -> None:
        failures = 0
        while True:
            if await self._connect():
                failures = 0
            failures += 1
            longest = min(MOST_WAIT, FIRST_WAIT * 2 ** (failures - 1))
            seconds = longest * self._random.uniform(0.5, 1)
            self._write("waits", seconds=seconds)
            await asyncio.sleep(seconds)

    async def _connect(self) -> bool:
        """Stay connected until the connection ends; return whether there was one at all."""
        sock = socket.socket()
        sock.setblocking(False)
        if self._slow:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        host, port = self._url.removeprefix("ws://").partition("/")[0].split(":")
        protocols = [Subprotocol("bookcast.v1")] if self.track.protocol == "v1" else None
        self._shown.clear()
        self._token = self._wallet.issue() if self._wallet and self._shows_first else None
        headers = {"Authorization": f"Bearer {self._token.text}"} if self._token else None
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
                connection = await websockets.asyncio.client.connect(
                    self._url,
                    sock=sock,
                    subprotocols=protocols,
                    additional_headers=headers,
                    compression=None,
                    ping_interval=None,
                    open_timeout=None,
                    close_timeout=0.5,
                    max_queue=4 if self._slow else 64,
                    proxy=None,
                )
        except (OSError, InvalidHandshake, InvalidMessage, EOFError) as error:
            sock.close()
            self._write("refused", detail=f"{type(error).__name__}: {error}")
            return False
        except BaseException:
            sock.close()
            raise
        self._connection = connection
        assert connection.response is not None
        self._node = connection.response.headers.get("X-Node", "")
        self._write("opened")
        if self._token is not None:
            self._note_token("token", self._token)
        try:
            await self._live(connection)
        finally:
            connection.transport.abort()
            self._connection = None
            self._node = ""
        return True

    async def _live(self, connection: websockets.asyncio.client.ClientConnection) -> None:
        tending = asyncio.create_task(self._tend())
        detail = ""
        try:
            await self._begin()
            while True:
                async with asyncio.timeout(SILENCE):
                    text = await connection.recv(decode=False)
                self._write("heard", message=msgspec.Raw(text))
                message = _decode(text)
                if message["type"] == "authenticated":
                    self._token = self._shown.popleft()
                await self._hear(message)
                if self._slow and self._random.random() < RESTS:
                    await self._rest(self._random.uniform(1, 4))
        except ConnectionClosed as closed:
            detail = str(closed) or "closed"
        except TimeoutError:
            detail = "silent for too long"
        finally:
            tending.cancel()
            if detail:  # else the run has stopped it, which is no loss
                self._write("lost", detail=detail, code=connection.close_code or 0)

    async def _rest(self, seconds: float) -> None:
        """Read nothing for a while, unless it is to be slow no more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurried.wait()
