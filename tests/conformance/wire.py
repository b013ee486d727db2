"""A client that writes and reads frames byte by byte, right ones and wrong ones."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import zlib
from collections.abc import AsyncIterator
from typing import NamedTuple, Self

from tests.support import PATIENCE, handshake, masked_frame

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN, RSV1, RSV2, RSV3, MASKED = 0x80, 0x40, 0x20, 0x10, 0x80
# Each connection has an id of its own: who comes under another's is asked about.
_numbers = itertools.count()

KEY = bytes([0x37, 0xFA, 0x21, 0x3D])

NORMAL, PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1000, 1002, 1007, 1009


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    key: bytes | None = None,
    length_bytes: int | None = None,
) -> bytes:
    """Write a client's frame.

    ``length_bytes``: 0, 2 or 8 after the head, however long the payload is. ``key``: what it is
    masked with, instead of zeros.
    """
    written = masked_frame(opcode, payload, fin=fin)
    if length_bytes is not None:
        short = {0: len(payload), 2: 126, 8: 127}[length_bytes]
        length = len(payload).to_bytes(length_bytes, "big") if length_bytes else b""
        written = written[:1] + bytes([MASKED | short]) + length + bytes(4) + payload
    if key is not None:
        before = len(written) - len(payload) - len(key)
        masked = bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
        written = written[:before] + key + masked
    return bytes([written[0] | reserved]) + written[1:]


def goodbye(code: int, reason: bytes = b"") -> bytes:
    """Write the payload of a close frame."""
    return code.to_bytes(2, "big") + reason


class Heard(NamedTuple):
    """A frame of the server."""

    opcode: int
    payload: bytes
    reserved: int = 0

    @property
    def code(self) -> int:
        """The code of a close frame."""
        assert self.opcode == CLOSE, f"{self} is no close frame"
        return int.from_bytes(self.payload[:2], "big")


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.extensions = ""

    @classmethod
    async def connect(cls, port: int, *headers: str) -> Self:
        """Connect, and shake hands."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(handshake(f"/ws/client-{next(_numbers)}", *headers))
        head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode()
        assert head.startswith("HTTP/1.1 101 "), head
        wire = cls(reader, writer)
        for line in head.splitlines():
            name, _, value = line.partition(":")
            if name.lower() == "sec-websocket-extensions":
                wire.extensions = value.strip()
        return wire

    def send(self, *frames: bytes) -> None:
        """Send frames in one go."""
        self._writer.write(b"".join(frames))

    async def trickle(self, data: bytes) -> None:
        """Send data byte by byte, each in its own segment."""
        for index in range(len(data)):
            self._writer.write(data[index : index + 1])
            # The transport writes at once, and the server, in this loop, gets its turn.
            await asyncio.sleep(0)

    async def hear(self) -> Heard:
        """Read a frame, and see that it is one that a server may send."""
        async with asyncio.timeout(PATIENCE):
            head, length = await self._reader.readexactly(2)
            assert head & FIN, "a fragment: the server sends whole messages only"
            assert not length & MASKED, "a masked frame of a server"
            if length == 126:
                length = int.from_bytes(await self._reader.readexactly(2), "big")
                assert length >= 126
            elif length == 127:
                length = int.from_bytes(await self._reader.readexactly(8), "big")
                assert length >= 65536
            payload = await self._reader.readexactly(length)
        return Heard(head & 15, payload, head & (RSV1 | RSV2 | RSV3))

    async def closed(self) -> None:
        """Check that no data arrives before the end of the connection."""
        assert await asyncio.wait_for(self._reader.read(), PATIENCE) == b""

    async def refused(self, code: int) -> None:
        """Check that the server sends only a close frame with this code, and closes."""
        heard = await self.hear()
        assert heard.code == code, heard
        # A server may hang up without an answer, or wait for one.
        with contextlib.suppress(ConnectionError):
            self.send(frame(CLOSE, heard.payload[:2]))
        await self.closed()

    async def alive(self) -> None:
        """Check that no data waits to be read, and that the connection works."""
        self.send(frame(TEXT, b"still there?"))
        assert await self.hear() == Heard(TEXT, b"still there?")

    def drop(self) -> None:
        """Drop the connection without a close frame."""
        self._writer.transport.abort()


@contextlib.asynccontextmanager
async def connection(port: int, *headers: str) -> AsyncIterator[Wire]:
    """Connect for a while."""
    wire = await Wire.connect(port, *headers)
    try:
        yield wire
    finally:
        wire.drop()


def deflated(data: bytes, *, bits: int = 15, end: int = zlib.Z_SYNC_FLUSH) -> bytes:
    """Compress a message as a client does; see RFC 7692, 7.2.1."""
    compressor = zlib.compressobj(wbits=-bits)
    compressed = compressor.compress(data) + compressor.flush(end)
    if end == zlib.Z_SYNC_FLUSH:
        return compressed.removesuffix(b"\x00\x00\xff\xff")
    return compressed + b"\x00"


def inflated(data: bytes) -> bytes:
    """Decompress a message as a client without context takeover; see RFC 7692, 7.2.2."""
    return zlib.decompressobj(wbits=-15).decompress(data + b"\x00\x00\xff\xff")
