"""A client without a socket: the script controls its transport, which records all writes."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable
from typing import Any, Final

from tests.golden.transcript import Transcript
from tests.support import handshake, masked_frame

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

HIGH_WATER: Final = 32 * 1024
"""asyncio's transports tell their protocol to pause when so many bytes wait."""

DEFLATE_TAIL: Final = b"\x00\x00\xff\xff"

Connect = Callable[[], asyncio.BaseProtocol]


class Transport(asyncio.Transport):
    """The server's side of a connection. What it takes goes to ``take``, unless it is held."""

    def __init__(self, take: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        super().__init__({"peername": ("127.0.0.1", 50_000), "sockname": ("127.0.0.1", 8002)})
        self._take = take
        self._lost = lost
        self._protocol: asyncio.BaseProtocol | None = None
        self._closing = False
        self._held: list[bytes] | None = None
        self._paused_writing = False

    # The script's side

    def receive(self, data: bytes) -> None:
        """Pass the client's bytes to the server."""
        if self._protocol is not None:
            assert isinstance(self._protocol, asyncio.Protocol)
            self._protocol.data_received(data)

    def hold(self) -> None:
        """Take nothing more: the kernel's buffers are full."""
        self._held = []
        self._pause()

    def release(self) -> None:
        """Take what waits, and what comes."""
        held, self._held = self._held or [], None
        for data in held:
            self._take(data)
        if self._closing:
            self._end(None)
        elif self._paused_writing:
            self._paused_writing = False
            assert isinstance(self._protocol, asyncio.Protocol)
            self._protocol.resume_writing()

    def vanish(self, error: Exception | None) -> None:
        """Be cut."""
        self._held = None
        self._end(error)

    def _pause(self) -> None:
        assert isinstance(self._protocol, asyncio.Protocol)
        if not self._paused_writing:
            self._paused_writing = True
            self._protocol.pause_writing()

    def _end(self, error: Exception | None) -> None:
        protocol, self._protocol = self._protocol, None
        self._closing = True
        if protocol is not None:
            self._lost()
            protocol.connection_lost(error)

    # The server's side

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._protocol is None:
            return
        if self._held is None:
            self._take(bytes(data))
            return
        self._held.append(bytes(data))
        if self.get_write_buffer_size() > HIGH_WATER:
            self._pause()

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._held or ()))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def write_eof(self) -> None:
        pass

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            if not self._held:
                asyncio.get_running_loop().call_soon(self._end, None)

    def abort(self) -> None:
        self._closing = True
        asyncio.get_running_loop().call_soon(self._end, None)


class Client:
    """A WebSocket client. It answers pings and closes while ``answers`` is true."""

    def __init__(
        self,
        name: str,
        connect: Connect,
        path: str,
        transcript: Transcript,
        settle: Callable[[], Any],
        *headers: str,
    ) -> None:
        self.name = name
        self.answers = True
        self.received: list[dict[str, Any]] = []
        self._transcript = transcript
        self._settle = settle
        self._pending = b""
        self._open = self._said_goodbye = False
        transcript.begin(name)
        self._act("connects", path, *headers)
        self._transport = Transport(self._take, lambda: self._hear("(the connection is closed)"))
        protocol = connect()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        self._transport.receive(handshake(path, *headers))

    # What it does

    async def say(self, action: str, **fields: Any) -> None:
        """Send a message."""
        await self.send(json.dumps({"action": action, **fields}, separators=(",", ":")))

    async def send(self, text: str) -> None:
        """Send a text as it is."""
        self._act(text)
        self._transport.receive(masked_frame(TEXT, text.encode()))
        await self._settle()

    async def send_together(self, *messages: dict[str, Any]) -> None:
        """Send several messages in one write."""
        texts = [json.dumps(one, separators=(",", ":")) for one in messages]
        for text in texts:
            self._act(text)
        self._transport.receive(b"".join(masked_frame(TEXT, text.encode()) for text in texts))
        await self._settle()

    async def hold(self) -> None:
        """Take nothing more."""
        self._act("can't take data")
        self._transport.hold()
        await self._settle()

    async def release(self) -> None:
        """Take data again."""
        self._act("can take data again")
        self._transport.release()
        await self._settle()

    async def vanish(self) -> None:
        """Drop the connection without a close frame."""
        self._act("is lost")
        self._transport.vanish(ConnectionResetError("reset by peer"))
        await self._settle()

    async def close(self, code: int = 1000) -> None:
        """Send a close frame; 1000 is a goodbye."""
        self._act(f"close {code}")
        self._said_goodbye = True
        self._transport.receive(masked_frame(CLOSE, code.to_bytes(2, "big")))
        await self._settle()

    # What it knows

    @property
    def session(self) -> str:
        """The token of the newest welcome or resumed."""
        return str(self._newest("session")["session"])

    def place(self, channel: str = "orderbook", symbol: str = "AAPL") -> dict[str, Any]:
        """Return the newest position of a topic that it received."""
        found = self._newest("seq", channel=channel, symbol=symbol)
        return {"epoch": found["epoch"], "seq": found["seq"]}

    def position(
        self, channel: str = "orderbook", symbol: str = "AAPL", **more: Any
    ) -> dict[str, Any]:
        """Return the same as ``resume`` takes it."""
        return {"channel": channel, "symbol": symbol, **more, **self.place(channel, symbol)}

    def _newest(self, field: str, **fields: str) -> dict[str, Any]:
        message: dict[str, Any]
        for message in reversed(self.received):
            if message.get(field) is not None and fields.items() <= message.items():
                return message
        raise AssertionError(f"{self.name} has had no {field} of {fields}")

    # What it is sent

    def _act(self, *words: str) -> None:
        self._transcript.act(self.name, " ".join(words))

    def _hear(self, line: str) -> None:
        self._transcript.add(self.name, f"{self.name} {line}")

    def _take(self, data: bytes) -> None:
        data = self._pending + data
        if not self._open:
            head, end, data = data.partition(b"\r\n\r\n")
            assert end, "the answer to a handshake comes in one write"
            status = head.split(b"\r\n")[0].decode()
            chosen = [
                line.decode()
                for line in head.split(b"\r\n")[1:]
                if line.lower().startswith(b"sec-websocket-") and b"accept" not in line.lower()
            ]
            self._open = status.split()[1] == "101"
            body = [] if self._open else [data.decode().strip()]
            self._hear(" ".join([status, *chosen, *body]))
            if not self._open:
                return
        frames = 0
        while len(data) >= 2:
            size, begin = data[1], 2
            if size == 126:
                size, begin = int.from_bytes(data[2:4], "big"), 4
            elif size == 127:
                size, begin = int.from_bytes(data[2:10], "big"), 10
            if len(data) < begin + size:
                break
            self._take_frame(data[0], data[begin : begin + size])
            data = data[begin + size :]
            frames += 1
        self._pending = data
        if frames:
            self._transcript.add_write(self.name, frames)

    def _take_frame(self, head: int, payload: bytes) -> None:
        assert head & 0x80, "the server sends whole messages"
        opcode = head & 0x0F
        if opcode == TEXT:
            deflated = ""
            if head & 0x40:
                deflated = "(deflated) "
                payload = zlib.decompressobj(-15).decompress(payload + DEFLATE_TAIL)
            text = payload.decode()
            assert "\n" not in text, "a line is a message"
            self.received.append(json.loads(text))
            self._hear(deflated + text)
        elif opcode == PING:
            self._hear("ping" + (" with a payload" if payload else ""))
            if self.answers:
                self._answer("pong", PONG, payload)
        elif opcode == CLOSE:
            code = int.from_bytes(payload[:2], "big")
            self._hear(f"close {code} {payload[2:].decode()}".rstrip())
            if self._said_goodbye:
                asyncio.get_running_loop().call_soon(self._transport.vanish, None)
            elif self.answers:
                self._answer(f"close {code}", CLOSE, payload[:2])
        else:
            self._hear(f"opcode {opcode} {payload.hex()}")

    def _answer(self, words: str, opcode: int, payload: bytes) -> None:
        def answer() -> None:
            self._transcript.add(self.name, f"> {self.name} {words}")
            self._transport.receive(masked_frame(opcode, payload))
            if opcode == CLOSE:
                self._transport.vanish(None)

        asyncio.get_running_loop().call_soon(answer)
