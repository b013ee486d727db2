"""A TCP proxy that breaks connections as networks do, when a test says so."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import struct
import time
from collections.abc import Callable, Iterable
from typing import Literal, Self

CHUNK = 16 * 1024
CHUNKS_HELD = 256
"""How many chunks a direction of a connection holds, before its sender is no longer read from."""

WINDOW = 64 * 1024
"""How many bytes are kept to find in them what may have come in parts."""

RECEIVE_BUFFER = 256 * 1024
"""What the kernel takes for each connection; by itself it would take many megabytes."""

HOST = "127.0.0.1"
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST."""

Direction = Literal["to_target", "to_client", "both"]
Predicate = Callable[[bytes], bool]

Held = tuple[float, bytes | None]
"""When something came, and what: a chunk, nothing for the end, or None for a reset."""


class Way:
    """One direction of the traffic: what is done to its bytes, on all connections together."""

    def __init__(self) -> None:
        self.stalled = False
        self.delay = 0.0
        self.rate = math.inf
        self.free_at = 0.0
        self.bytes = 0


class Loss:
    """An answer that will be lost, and the link that it comes on once it was requested."""

    def __init__(self, request: Predicate, answer: Predicate) -> None:
        self.request = request
        self.answer = answer
        self.link: Link | None = None


class Link:
    """A client's connection and the one to the target that belongs to it."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.joined = False
        self.writers: list[asyncio.StreamWriter] = []
        self.asked = b""
        self.answered = b""

    def reset(self) -> None:
        """Close both at once, with RST and without what is still to be sent."""
        open_ones = [writer for writer in self.writers if not writer.is_closing()]
        sockets = [writer.get_extra_info("socket") for writer in open_ones]
        for each in sockets if self.writers else [self.client]:
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        for writer in self.writers:
            writer.transport.abort()
        if not self.joined:  # or the task that joins it closes it
            self.client.close()


class FaultyProxy:
    """Passes bytes on between clients and a target, in order or not at all."""

    def __init__(self, target_port: int, target_host: str = HOST) -> None:
        self.target = (target_host, target_port)
        self.port = 0
        self.connections = 0
        self.lost_replies = 0
        self._ways = {"to_target": Way(), "to_client": Way()}
        self._links: dict[asyncio.Task[None], Link] = {}
        self._changed = asyncio.Event()
        self._loss: Loss | None = None
        self._socket: socket.socket | None = None
        self._accepts = False

    async def __aenter__(self) -> Self:
        self._bind()
        self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        assert self._socket is not None
        self._socket.close()
        self.cut()
        await asyncio.gather(*self._links, return_exceptions=True)

    @property
    def open_connections(self) -> int:
        """How many connections there are."""
        return len(self._links)

    @property
    def half_closed(self) -> int:
        """How many connections have lost one of their ends."""
        return sum(
            any(writer.is_closing() for writer in link.writers) for link in self._links.values()
        )

    @property
    def bytes_to_target(self) -> int:
        """How many bytes were passed on to the target."""
        return self._ways["to_target"].bytes

    @property
    def bytes_to_client(self) -> int:
        """How many bytes were passed on to clients."""
        return self._ways["to_client"].bytes

    def _bind(self) -> None:
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._socket.bind((HOST, self.port))
        self.port = self._socket.getsockname()[1]

    def cut(self) -> None:
        """Reset every connection, at both ends."""
        for task, link in self._links.items():
            link.reset()
            task.cancel()

    def refuse(self) -> None:
        """Refuse new connections; those that there are stay."""
        if self._accepts:
            assert self._socket is not None
            self._accepts = False
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            # Bound without listening, it refuses, and no other process gets the port.
            self._bind()

    def accept(self) -> None:
        """Take new connections again."""
        if not self._accepts:
            assert self._socket is not None
            self._accepts = True
            self._socket.listen(128)
            asyncio.get_running_loop().add_reader(self._socket, self._take)

    def stall(self, direction: Direction = "both") -> None:
        """Accept bytes up to the buffer limit and pass nothing on: no bytes, no end, no reset."""
        for way in self._which(direction):
            way.stalled = True

    def flow(self, direction: Direction = "both") -> None:
        """Pass on the bytes that were kept back, and all that arrive."""
        for way in self._which(direction):
            way.stalled = False

    def delay(self, seconds: float, direction: Direction = "both") -> None:
        """Pass everything on this many seconds after it arrived."""
        for way in self._which(direction):
            way.delay = seconds

    def throttle(self, bytes_per_second: float = math.inf, direction: Direction = "both") -> None:
        """Pass on only so many bytes a second, on all connections together."""
        for way in self._which(direction):
            way.rate, way.free_at = bytes_per_second, 0.0

    def drop_reply_after(
        self, request: Predicate, answer: Predicate = lambda answered: True
    ) -> None:
        """Pass on one request, wait for the answer, and reset the client instead of passing it on.

        The predicates are given the bytes since this was called, or since the request: as many of
        the last as fit the window. Where earlier requests may still be unanswered, the second says
        what the answer is known by; what comes before it is withheld too.
        """
        self._loss = Loss(request, answer)
        for link in self._links.values():
            link.asked = link.answered = b""

    def _which(self, direction: Direction) -> Iterable[Way]:
        # Each waiting task checks again what it has to wait for.
        self._changed.set()
        self._changed = asyncio.Event()
        return self._ways.values() if direction == "both" else [self._ways[direction]]

    def _take(self) -> None:
        assert self._socket is not None
        try:
            client = self._socket.accept()[0]
        except OSError:  # gone again
            return
        client.setblocking(False)
        self.connections += 1
        link = Link(client)
        task = asyncio.get_running_loop().create_task(self._join(link))
        self._links[task] = link
        task.add_done_callback(self._joined)

    def _joined(self, task: asyncio.Task[None]) -> None:
        del self._links[task]
        if not task.cancelled():
            task.result()  # an error of the proxy itself fails the test

    async def _join(self, link: Link) -> None:
        """Pass bytes on between a client and the target until both are done, or one is gone."""
        try:
            await self._pass_both_ways(link)
        except* OSError:
            pass
        finally:
            link.reset()
            for writer in link.writers:
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            if self._loss and self._loss.link is link:
                self._loss = None

    async def _pass_both_ways(self, link: Link) -> None:
        link.joined = True
        from_client, to_client = await asyncio.open_connection(sock=link.client, limit=CHUNK)
        link.writers.append(to_client)
        from_target, to_target = await asyncio.open_connection(*self.target, limit=CHUNK)
        link.writers.append(to_target)
        async with asyncio.TaskGroup() as tasks:
            requests, replies = (asyncio.Queue[Held](CHUNKS_HELD) for _ in range(2))
            tasks.create_task(_hold(from_client, requests))
            tasks.create_task(_hold(from_target, replies))
            tasks.create_task(self._pass(link, "to_target", requests, to_target))
            tasks.create_task(self._pass(link, "to_client", replies, to_client))
        for writer in link.writers:
            writer.close()
        for writer in link.writers:
            await writer.wait_closed()

    async def _pass(
        self, link: Link, direction: str, held: asyncio.Queue[Held], writer: asyncio.StreamWriter
    ) -> None:
        way = self._ways[direction]
        while True:
            came, chunk = await held.get()
            await self._turn(way, came)
            if chunk is None:
                raise ConnectionResetError
            if not chunk:
                _still_open(writer).write_eof()
                return
            if self._is_lost(link, direction, chunk):
                continue
            size = len(chunk) if way.rate == math.inf else max(1, int(way.rate / 20))
            for start in range(0, len(chunk), size):
                await self._turn(way, came)
                piece = chunk[start : start + size]
                now = time.monotonic()
                way.free_at = max(way.free_at, now) + len(piece) / way.rate
                way.bytes += len(piece)
                _still_open(writer).write(piece)
                await writer.drain()

    async def _turn(self, way: Way, came: float) -> None:
        """Wait until the bytes that arrived at this time may be passed on."""
        while True:
            due = math.inf if way.stalled else max(came + way.delay, way.free_at)
            seconds = due - time.monotonic()
            if seconds <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds if seconds < math.inf else None):
                    await self._changed.wait()

    def _is_lost(self, link: Link, direction: str, chunk: bytes) -> bool:
        """Note a chunk while an answer is to be lost; return whether the chunk belongs to it."""
        loss = self._loss
        if loss is None:
            return False
        if direction == "to_target":
            if loss.link is None:
                link.asked = (link.asked + chunk)[-WINDOW:]
                if loss.request(link.asked):
                    loss.link = link
            return False
        if loss.link is not link:
            return False
        link.answered = (link.answered + chunk)[-WINDOW:]
        if loss.answer(link.answered):
            self.lost_replies += 1
            raise ConnectionResetError
        return True


def _still_open(writer: asyncio.StreamWriter) -> asyncio.StreamWriter:
    """Return a writer whose peer hasn't reset it; uvloop reports a reset as a RuntimeError."""
    if writer.is_closing():
        raise ConnectionResetError
    return writer


async def _hold(reader: asyncio.StreamReader, held: asyncio.Queue[Held]) -> None:
    """Read as long as there is room; the end of the stream is passed on in order too."""
    chunk: bytes | None = b"-"
    while chunk:
        try:
            chunk = await reader.read(CHUNK)
        except OSError:
            chunk = None
        await held.put((time.monotonic(), chunk))
