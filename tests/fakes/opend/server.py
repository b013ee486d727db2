"""The simulated OpenD: its connections, its data, and the faults that a test requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

from google.protobuf.message import DecodeError

from tests.fakes.opend.account import Account
from tests.fakes.opend.answers import ANSWERS
from tests.fakes.opend.connection import Connection
from tests.fakes.opend.notices import Notices
from tests.fakes.opend.pushes import Pushes
from tests.fakes.opend.sealing import NoSeal, RsaSeal, Seal
from tests.fakes.opend.store import Store
from tests.fakes.opend.wire import (
    HEADER,
    INIT_CONNECT,
    LONGEST_BODY,
    PUSH_ORDER_BOOK,
    Cut,
    Key,
    Refused,
    digest_of,
    frame,
    messages,
    response,
)


class OpenD:
    """A server on loopback; ``clock`` gives seconds that never go back."""

    def __init__(
        self,
        *,
        port: int,
        min_seconds: float,
        quota: int,
        option_quota: int | None = 60,
        rsa_key_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.port = port
        self.clock = clock
        self.account = Account(quota=quota, option_quota=option_quota, min_seconds=min_seconds)
        self.store = Store()
        self.pushes = Pushes(self)
        self.notices = Notices(self)
        self.connections: list[Connection] = []
        self.requests: list[int] = []
        self.recorded: list[tuple[int, str]] = []
        self.muted = False
        self.ignored: set[int] = set()
        self.delay = 0.0
        self.invent: Callable[[str], None] | None = None
        self.knows_only_defined = False
        self.seal: Seal = RsaSeal(rsa_key_file) if rsa_key_file else NoSeal()
        self._numbers = count(1)
        self._server: asyncio.Server | None = None

    @property
    def encrypts(self) -> bool:
        """Whether clients must encrypt."""
        return isinstance(self.seal, RsaSeal)

    async def listen(self) -> None:
        """Accept connections, on the same port as before if there was one."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop_listening(self) -> None:
        """Be as if the process were gone: no listener, no connection."""
        if self._server is not None:
            self._server.close()
        self.drop()

    def drop(self, *, within_frame: bool = False) -> None:
        """Cut all connections, perhaps when the header of a push and a bit of it were sent."""
        for connection in list(self.connections):
            if within_frame:
                data = frame(PUSH_ORDER_BOOK, 0, bytes(20), bytes(400))
                connection.write(data[: HEADER.size + 56])
            connection.writer.transport.abort()

    def receivers(self, key: Key) -> list[Connection]:
        """Return the connections that a push of this subscription goes to."""
        if self.muted:
            return []
        return [connection for connection in self.connections if key in connection.pushed]

    def known(self, code: str) -> bool:
        """Return whether a security exists; a market that moves invents each one asked for."""
        if self.invent is not None:
            self.invent(code)
        return self.store.snapshot(code) is not None

    def send_garbage(self) -> None:
        """Write to every connection what isn't the protocol."""
        for connection in self.connections:
            connection.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" * 3)

    def send_garbled(self) -> None:
        """Push to every connection an order book that isn't one, under a right header."""
        for connection in self.connections:
            connection.push(PUSH_ORDER_BOOK, b"\xff" * 20)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self._numbers)
        connection = Connection(number, writer, self.seal, self.account.open(number))
        self.connections.append(connection)
        try:
            while True:
                protocol, serial, body = await _read(reader, connection.seal)
                self.requests.append(protocol)
                self.recorded.append((protocol, body.hex()))
                if not self.muted and protocol not in self.ignored:
                    self._answer(connection, protocol, serial, body)
        except (asyncio.IncompleteReadError, OSError, Cut):
            pass
        finally:
            self.connections.remove(connection)
            self.account.close(number, self.clock())
            writer.close()

    def _answer(self, connection: Connection, protocol: int, serial: int, body: bytes) -> None:
        if not connection.greeted and protocol != INIT_CONNECT:
            raise Cut("what comes first is InitConnect")
        if protocol not in ANSWERS:
            return
        request, answer = messages(protocol).Request(), response(protocol)
        try:
            request.ParseFromString(body)
        except DecodeError:
            raise Cut("a body that isn't the protocol's") from None
        try:
            ANSWERS[protocol](self, connection, request.c2s, answer.s2c)
        except Refused as refusal:
            answer = messages(protocol).Response(retType=-1, retMsg=str(refusal))
        connection.answer(protocol, serial, answer, self.delay)

    def first_push(self, connection: Connection, keys: Iterable[Key]) -> None:
        """Push what is stored of these to one connection."""
        for key in keys:
            for protocol, body in self.pushes.first(key, connection):
                connection.push(protocol, body)


async def _read(reader: asyncio.StreamReader, seal: Seal) -> tuple[int, int, bytes]:
    """Read one request: its id, its serial number, and its body, decrypted."""
    head = HEADER.unpack(await reader.readexactly(HEADER.size))
    magic, protocol, proto_format, _, serial, length, digest, _ = head
    if magic != b"FT" or proto_format != 0 or length > LONGEST_BODY:
        raise Cut("a header that isn't the protocol's")
    sealed = await reader.readexactly(length)
    try:
        body = seal.open(sealed)
    except ValueError:
        raise Cut("a body that isn't encrypted as it must be") from None
    if digest_of(body) != digest:
        raise Cut("a body that isn't the one that the header tells of")
    return protocol, serial, body
