import asyncio
import contextlib
import json
import logging
import socket
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import msgspec
import pytest
import websockets.exceptions
from websockets.typing import Subprotocol

from bookcast import BookData, Server, serve
from bookcast.errors import CloseCode
from bookcast.sessions.session import Session
from bookcast.transport.handshake import HandshakeHandler
from tests.conftest import LOOPS
from tests.fakes.faulty_proxy import FaultyProxy
from tests.support import (
    PATIENCE,
    Replica,
    connect,
    eventually,
    handshake,
    masked_frame,
    registry_of,
    websockets_of,
)

BOOK: Any = {"bids": [[189.5, 300]], "asks": [[189.6, 100]]}
TRADE: Any = {"trades": [{"price": 1, "size": 1}]}
TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0


@pytest.fixture(params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Run these on every loop: transports differ."""
    return LOOPS[request.param]


async def raw(server: Server, path: str = "/ws/me", *headers: str) -> "Raw":
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(handshake(path, *headers))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    return Raw(reader, writer, head.decode())


@contextlib.asynccontextmanager
async def held_back(
    server: Server, path: str, *, receives: int | None = None
) -> AsyncIterator["Raw"]:
    """Connect a client that reads nothing yet; it has so much room in the system to receive."""
    sock = socket.socket()
    if receives is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
    sock.connect(("127.0.0.1", server.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=2**12)
    try:
        writer.write(handshake(path))
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        await asyncio.sleep(0)
        writer.transport.pause_reading()  # type: ignore[attr-defined] # a stream of ours has one that reads
        yield Raw(reader, writer, "")
    finally:
        writer.transport.abort()


class Raw:
    """A client that writes its frames by hand."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.head = head

    def send(self, opcode: int, payload: bytes = b"", *, fin: bool = True) -> None:
        self.writer.write(masked_frame(opcode, payload, fin=fin))

    async def frame(self) -> tuple[int, bytes]:
        """Read one frame: its opcode and payload."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readexactly(2)
            length = head[1]
            if length == 126:
                length = int.from_bytes(await self.reader.readexactly(2), "big")
            elif length == 127:
                length = int.from_bytes(await self.reader.readexactly(8), "big")
            return head[0] & 15, await self.reader.readexactly(length)

    async def close_code(self) -> int:
        """Read up to the close frame, answer it, and wait for the end."""
        opcode, payload = await self.frame()
        while opcode != CLOSE:
            opcode, payload = await self.frame()
        self.send(CLOSE, payload[:2])
        assert await asyncio.wait_for(self.reader.read(), PATIENCE) == b""
        self.writer.close()
        return int.from_bytes(payload[:2], "big")


async def test_the_base_protocol_from_end_to_end(server: Server) -> None:
    """Confirmations, books, pings and errors over a real socket, with nothing unsolicited."""
    await server.publish("AAPL", BOOK)
    async with connect(server.ws_url + "me") as client:
        confirmed = {"type": "subscription_confirmed", "symbol": "AAPL"}
        assert await client.subscribe("AAPL") == confirmed
        known = await client.hear()
        assert set(known) == {"type", "symbol", "data", "timestamp"}
        assert (known["type"], known["symbol"], known["data"]) == ("orderbook_update", "AAPL", BOOK)
        assert await client.ask({"action": "ping"}) == {"type": "pong"}
        assert await client.ask({"action": "dance"}) == {
            "type": "error",
            "message": "Unknown action",
        }
        assert (await client.ask("{"))["type"] == "error"
        assert (await client.ask(b"{}"))["type"] == "error"
        published = await server.publish("US.AAPL", BOOK | {"mine": True})
        assert (published.subscribers, published.seq) == (1, 2)
        assert (await client.hear())["data"] == BOOK | {"mine": True}
        left = {"type": "unsubscription_confirmed", "symbol": "AAPL"}
        assert await client.ask({"action": "unsubscribe", "symbol": "AAPL"}) == left
        assert await client.ask({"action": "unsubscribe", "symbol": "AAPL"}) == left
        await server.publish("AAPL", BOOK)
        assert await client.silent()


async def test_only_subscribers_of_a_symbol_get_its_books(server: Server) -> None:
    """Each client sees what it asked for."""
    async with (
        connect(server.ws_url + "one?symbols=AAPL") as one,
        connect(server.ws_url + "two?symbols=TSLA,AAPL") as two,
    ):
        assert (await one.hear())["symbol"] == "AAPL"
        assert [(await two.hear())["symbol"] for _ in range(2)] == ["TSLA", "AAPL"]
        await server.publish("TSLA", BOOK)
        assert (await two.hear())["symbol"] == "TSLA"
        assert await one.silent()


async def test_a_closed_connection_is_forgotten(server: Server) -> None:
    """Whether it said goodbye or just vanished."""
    async with connect(server.ws_url + "me?symbols=AAPL") as client:
        await client.hear()
        assert (await server.publish("AAPL", BOOK)).subscribers == 1
        client.connection.transport.abort()
        await eventually(lambda: server.connection_count == 0, "the client to be forgotten")
    async with connect(server.ws_url + "me?symbols=AAPL") as client:
        await client.hear()
    await eventually(lambda: server.connection_count == 0, "the client to be forgotten")
    assert (await server.publish("AAPL", BOOK)).subscribers == 0


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/ws/", 400, "A client id has 1 to 128 printable characters"),
        ("/ws/" + "x" * 129, 400, "A client id has 1 to 128 printable characters"),
        ("/ws/%00", 400, "A client id has 1 to 128 printable characters"),
        ("/ws/a/b", 404, "Connect to /ws/{client_id}"),
        ("/socket", 404, "Connect to /ws/{client_id}"),
    ],
)
async def test_a_wrong_address_is_refused_with_a_sentence(
    server: Server, path: str, status: int, sentence: str
) -> None:
    """The status and the body say what is wrong."""
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
        async with connect(server.http_url.replace("http", "ws") + path):
            pass
    assert caught.value.response.status_code == status
    assert sentence in caught.value.response.body.decode()


async def test_a_foreign_page_is_refused_and_the_setting_named(server: Server) -> None:
    """Pages of this machine come in, from its disk as well."""
    for origin in ("http://localhost:5173", "null", "file://", server.http_url + "/"):
        async with connect(server.ws_url + "me", origin=origin) as client:
            assert await client.silent()
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
        async with connect(server.ws_url + "me", origin="https://evil.example"):
            pass
    assert caught.value.response.status_code == 403
    assert "ALLOWED_ORIGINS" in caught.value.response.body.decode()


async def test_a_broken_handshake_is_refused(server: Server) -> None:
    """A missing key is no WebSocket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    request = handshake("/ws/me").replace(b"Sec-WebSocket-Key", b"X-Nothing")
    writer.write(request)
    assert (await reader.readline()).startswith(b"HTTP/1.1 400")
    writer.close()


async def test_a_message_in_fragments_with_a_ping_between_is_one_message(server: Server) -> None:
    """Control frames may come between fragments."""
    client = await raw(server)
    client.send(TEXT, b'{"action"', fin=False)
    client.send(PING, b"are you there?")
    client.send(CONTINUATION, b':"ping"}')
    assert {await client.frame(), await client.frame()} == {
        (PONG, b"are you there?"),
        (TEXT, b'{"type":"pong"}'),
    }
    client.writer.close()


async def test_many_commands_in_one_packet_are_answered_in_order(server: Server) -> None:
    """None is lost, none overtakes another."""
    client = await raw(server)
    for number in range(200):
        client.send(TEXT, json.dumps({"action": "subscribe", "symbol": f"S{number}"}).encode())
    answers = [json.loads((await client.frame())[1]) for _ in range(200)]
    assert [answer["symbol"] for answer in answers] == [f"S{number}" for number in range(200)]
    client.writer.close()


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(TEXT, b"\xff\xfe", True)], 1007),
        ([(TEXT, b"\xc3", False), (CONTINUATION, b"\x28", True)], 1007),
        ([(TEXT, b"x" * 70_000, True)], 1009),
        ([(TEXT, b"x" * 40_000, False), (CONTINUATION, b"x" * 40_000, True)], 1009),
        ([(TEXT, b"", False)] + [(CONTINUATION, b"", False)] * 200, 1008),
        ([(CONTINUATION, b"", True)], 1002),
        ([(PING, b"x" * 126, True)], 1002),
        ([(3, b"", True)], 1002),
    ],
)
async def test_abuse_closes_the_connection_with_its_code(
    server: Server, frames: list[tuple[int, bytes, bool]], code: int
) -> None:
    """Invalid UTF-8, too big, too many fragments, broken frames."""
    client = await raw(server)
    for opcode, payload, fin in frames:
        client.send(opcode, payload, fin=fin)
    assert await client.close_code() == code
    await eventually(lambda: server.connection_count == 0, "the client to be gone")


async def test_what_comes_after_our_goodbye_is_not_kept(server: Server) -> None:
    """However much it is."""
    client = await raw(server)
    [websocket] = websockets_of(server)
    client.send(TEXT, b"\xff")
    for _ in range(100):
        client.send(TEXT, b"x" * 60_000)
        client.send(TEXT, b"x" * 60_000, fin=False)
        client.send(CONTINUATION, b"x")
        await asyncio.sleep(0)
    assert await client.close_code() == 1007
    assert (websocket._inbox, websocket._assembly) == ([], None)


async def test_a_character_split_between_fragments_is_fine(server: Server) -> None:
    """UTF-8 is judged by the whole message."""
    client = await raw(server)
    message = '{"action":"subscribe","symbol":"日本"}'.encode()
    client.send(TEXT, message[:-4], fin=False)
    client.send(CONTINUATION, message[-4:])
    assert json.loads((await client.frame())[1])["symbol"] == "日本"
    client.writer.close()


async def test_a_clients_goodbye_is_answered(server: Server) -> None:
    """With its own code, and then the end."""
    client = await raw(server)
    client.send(CLOSE, (1000).to_bytes(2, "big"))
    assert await client.close_code() == 1000


@pytest.mark.parametrize("protocol", ["bookcast.base", "bookcast.v1"])
@pytest.mark.parametrize(
    ("payload", "waits"),
    [
        (b"", False),
        ((1000).to_bytes(2, "big"), False),
        ((1001).to_bytes(2, "big") + b"the page was left", False),
        ((4000).to_bytes(2, "big") + b"no answer", True),
        ((1011).to_bytes(2, "big") + b"keepalive ping timeout", True),
        *((code.to_bytes(2, "big"), True) for code in (1008, 1012, 3000, 4503)),
        ((1005).to_bytes(2, "big"), True),  # not allowed on the wire: broken frames
        (b"\x03", True),
    ],
)
async def test_a_clients_close_code_tells_a_goodbye_from_a_loss(
    server: Server, payload: bytes, waits: bool, protocol: str
) -> None:
    """No code, 1000 and 1001 end the session; with any other it waits for the client."""
    client = await raw(server, "/ws/me", f"Sec-WebSocket-Protocol: {protocol}")
    client.send(TEXT, b'{"action":"subscribe","symbol":"AAPL"}')
    while json.loads((await client.frame())[1])["type"] != "subscription_confirmed":
        pass
    client.send(CLOSE, payload)
    await client.close_code()
    await eventually(lambda: server.connection_count == 0, "the client to be gone")
    assert registry_of(server).ownership.lost == int(waits)


@pytest.mark.parametrize("answer", [1000, 1001, 4009])
async def test_the_answer_to_our_close_is_no_close_of_the_client(
    server: Server, answer: int
) -> None:
    """Whatever its code, the session waits as our code says."""
    client = await raw(server, "/ws/me?symbols=AAPL")
    await client.frame()
    [socket_] = websockets_of(server)
    socket_.end(CloseCode.HEARTBEAT_MISSED)
    client.send(CLOSE, answer.to_bytes(2, "big"))
    assert await client.close_code() == 4009
    assert registry_of(server).ownership.lost == 1
    async with connect(server.ws_url + "me") as again:
        await server.publish("AAPL", BOOK)
        assert (await again.hear())["symbol"] == "AAPL"


async def test_a_client_library_that_misses_a_pong_comes_back_to_its_session(
    server: Server,
) -> None:
    """It closes with 1011 by itself, and nothing that it had of its trades comes twice."""
    async with FaultyProxy(server.port) as way:
        address = f"ws://127.0.0.1:{way.port}/ws/me"
        async with connect(
            address, subprotocols=V1_OFFER, ping_interval=0.1, ping_timeout=0.2, close_timeout=0.1
        ) as client:
            token = (await client.hear())["session"]
            await client.ask({"action": "subscribe", "symbol": "AAPL", "channel": "trades"})
            await server.publish("AAPL", TRADE, channel="trades")
            while (heard := await client.hear())["type"] != "trade":
                pass
            way.stall("to_client")
            await eventually(
                lambda: registry_of(server).ownership.lost == 1, "the session to be parked"
            )
        assert client.connection.close_code in {1006, 1011}
        await server.publish("AAPL", TRADE, channel="trades")
    async with connect(server.ws_url + "me", subprotocols=V1_OFFER) as again:
        await again.hear()
        place = {name: heard[name] for name in ("channel", "symbol", "epoch", "seq")}
        answer = await again.ask({"action": "resume", "session": token, "positions": [place]})
        assert answer["restored"][0]["recovered"]
        assert ((missed := await again.hear())["prev_seq"], missed["seq"]) == (1, 2)


async def test_a_stopping_server_says_goodbye_with_restart() -> None:
    """Every client gets 1012, and the stop doesn't wait for those who don't answer."""
    server = serve(port=0)
    await server.start()
    polite, silent = await raw(server), await raw(server)
    stopping = asyncio.create_task(server.stop())
    assert await polite.close_code() == 1012
    await asyncio.wait_for(stopping, PATIENCE)
    assert (await silent.frame())[0] == CLOSE
    silent.writer.close()


@pytest.mark.no_cover
async def test_a_client_that_does_not_read_gets_the_newest_book_later(
    anyio_backend: object,
) -> None:
    """While it is held back nothing piles up for it, and others get everything."""
    wide: Any = {"bids": [[1000 - level, 1] for level in range(500)], "asks": []}
    total = 600
    async with (
        serve(port=0, slow_timeout=1e6) as server,
        held_back(server, "/ws/slow?symbols=AAPL", receives=4096) as slow,
    ):
        async with connect(server.ws_url + "quick?symbols=AAPL") as quick:
            await quick.hear()
            for number in range(total):
                await server.publish("AAPL", wide | {"number": number})
                assert (await quick.hear())["data"]["number"] == number
        assert server.parts.hub.conflated > total / 2
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined] # the same
        heard: list[int] = []
        while not heard or heard[-1] < total - 1:
            message = json.loads((await slow.frame())[1])
            if message["type"] == "orderbook_update":
                heard.append(message["data"]["number"])
        assert heard == sorted(set(heard))
        assert len(heard) < total / 2


async def test_a_client_that_floods_and_never_reads_is_not_listened_to(server: Server) -> None:
    """Its commands wait in the network instead of in the server's memory."""
    await server.publish("AAPL", {"bids": [[1000 - n, 1] for n in range(900)], "asks": []})
    async with held_back(server, "/ws/flood") as client:
        writer = client.writer
        flood = masked_frame(TEXT, b'{"action":"subscribe","symbol":"AAPL"}') * 1000
        sent = 0
        while sent < 200 and writer.transport.get_write_buffer_size() == 0:
            writer.write(flood)
            sent += 1
            await asyncio.sleep(0.01)
        assert writer.transport.get_write_buffer_size() > 0, "the server took everything"
        assert server.parts.registry.received < sent * 1000
    await eventually(lambda: server.connection_count == 0, "the client to be gone")


async def test_a_fault_of_ours_in_a_handshake_is_answered_and_forgotten(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With 500, and nothing left behind."""

    def fail(_self: object, _request: object, _peer: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(HandshakeHandler, "_admit", fail)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(handshake("/ws/me"))
    assert (await reader.readline()).startswith(b"HTTP/1.1 500")
    writer.close()
    await eventually(lambda: websockets_of(server) == [], "the connection to be forgotten")
    assert "on purpose" in caplog.text


async def test_a_handshake_with_a_body_is_refused(server: Server) -> None:
    """With an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(handshake("/ws/me", "Content-Length: 5") + b"12345")
    assert (await reader.readline()).startswith(b"HTTP/1.1 400")
    writer.close()


async def test_a_target_that_is_no_address_is_refused(server: Server) -> None:
    """And no fault of ours."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(handshake("http://[/ws/me"))
    assert (await reader.readline()).split()[1] in {b"400", b"404"}
    writer.close()


@pytest.mark.no_cover
async def test_who_subscribes_to_much_on_the_address_and_never_reads_costs_little(
    server: Server,
) -> None:
    """Books wait in the hub, once for everybody, until the client takes them."""
    wide: Any = {"bids": [[10_000 - level, 1] for level in range(1500)], "asks": []}
    names = [f"S{number}" for number in range(200)]
    for name in names:
        await server.publish(name, wide)
    async with contextlib.AsyncExitStack() as others:
        # Somebody sees them all already, so that their frames are ready to be sent.
        for number in range(2):
            other = await others.enter_async_context(
                connect(
                    f"{server.ws_url}o{number}?symbols={','.join(names)}",
                    max_size=2**22,
                    close_timeout=0.1,
                )
            )
            while (await other.hear()).get("symbol") != names[-1]:
                pass
        await others.enter_async_context(held_back(server, f"/ws/greedy?symbols={','.join(names)}"))
        await server.publish("S0", wide)
        await eventually(lambda: server.connection_count == 3, "the client")
        waiting = [w._transport.get_write_buffer_size() for w in websockets_of(server)]
        assert len(waiting) == 3
        assert max(waiting) < 2**20


async def test_a_fault_of_ours_closes_with_1011_and_leaves_a_trace_in_the_log(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The client learns nothing of it, the log everything."""

    def fail(_self: object, _data: bytes) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(Session, "receive", fail)
    client = await raw(server)
    with caplog.at_level(logging.ERROR):
        client.send(TEXT, b"{}")
        assert await client.close_code() == 1011
    assert "on purpose" in caplog.text


V1 = "Sec-WebSocket-Protocol: bookcast.v1"
V1_OFFER = [Subprotocol("bookcast.v1")]
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"


async def test_bookcast_v1_is_spoken_with_whom_asks_for_it(server: Server) -> None:
    """As a subprotocol among others, or on the address where a tool can't set one."""
    offered = [Subprotocol("other.v9"), Subprotocol("bookcast.v1")]
    async with connect(server.ws_url + "me", subprotocols=offered) as client:
        assert client.connection.subprotocol == "bookcast.v1"
        assert (await client.hear())["type"] == "welcome"
    async with connect(server.ws_url + "me?protocol=bookcast.v1") as client:
        assert client.connection.subprotocol is None
        assert (await client.hear())["type"] == "welcome"
    for path, *headers in (("/ws/me",), ("/ws/me", "Sec-WebSocket-Protocol: other.v9")):
        client_without = await raw(server, path, *headers)
        assert "Sec-WebSocket-Protocol" not in client_without.head
        client_without.send(TEXT, b'{"action":"ping"}')
        assert await client_without.frame() == (TEXT, b'{"type":"pong"}')
        client_without.writer.close()


async def test_an_unknown_protocol_on_the_address_is_refused(server: Server) -> None:
    """Instead of speaking another one."""
    client = await raw(server, "/ws/me?protocol=bookcast.v9")
    assert client.head.startswith("HTTP/1.1 400")
    client.writer.close()


@pytest.mark.parametrize(
    ("offer", "accepted"),
    [
        ("permessage-deflate", True),
        ("permessage-deflate; client_max_window_bits", True),
        ("permessage-deflate; server_max_window_bits=15", True),
        ("permessage-deflate; server_max_window_bits=10", False),
        ("permessage-deflate; server_max_window_bits=10, permessage-deflate", True),
        ("x-webkit-deflate-frame", False),
    ],
)
async def test_compression_is_negotiated_for_frames_that_are_shared(
    server: Server, offer: str, accepted: bool
) -> None:
    """No memory from frame to frame either way, and the full window."""
    client = await raw(server, "/ws/me", f"Sec-WebSocket-Extensions: {offer}")
    assert ("permessage-deflate" in client.head) is accepted
    if accepted:
        assert "server_no_context_takeover" in client.head
        assert "client_no_context_takeover" in client.head
    client.writer.close()


async def test_long_messages_are_compressed_and_short_ones_are_not(server: Server) -> None:
    """A client that can take it reads the same either way; each frame stands for itself."""
    deep: Any = {"bids": [[1000 - price, 7] for price in range(200)], "asks": []}
    options = {"compression": "deflate"}
    async with (
        connect(server.ws_url + "a?symbols=AAPL", **options) as packed,
        connect(server.ws_url + "b?symbols=AAPL", **options) as late,
        connect(server.ws_url + "c?symbols=AAPL") as plain,
    ):
        for client in (packed, late, plain):
            await client.hear()
        for _ in range(3):
            await server.publish("AAPL", deep)
            for client in (packed, plain):
                assert (await client.hear())["data"] == deep
        await server.publish("AAPL", BOOK)
        heard = [(await client.hear())["data"] for client in (packed, *[late] * 4)]
        assert heard == [BOOK, deep, deep, deep, BOOK]
    by_hand = await raw(server, "/ws/me?symbols=AAPL,TSLA", DEFLATE)
    await server.publish("TSLA", deep)
    frames = [await by_hand.frame() for _ in range(4)]
    assert max(len(payload) for _, payload in frames) < 1000 < len(json.dumps(deep))
    by_hand.writer.close()


async def test_compression_can_be_switched_off() -> None:
    """Then no offer is accepted."""
    async with serve(port=0, deflate="off") as server:
        client = await raw(server, "/ws/me", DEFLATE)
        assert "permessage-deflate" not in client.head
        client.writer.close()


async def test_a_compressed_message_is_read_and_a_bomb_is_not(server: Server) -> None:
    """What it would grow to counts, not what was sent."""
    client = await raw(server, "/ws/me", DEFLATE)
    client.writer.write(compressed_frame(b'{"action":"ping"}'))
    assert await client.frame() == (TEXT, b'{"type":"pong"}')
    client.writer.write(compressed_frame(b" " * 10_000_000))
    assert await client.close_code() == 1009


def compressed_frame(payload: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
    frame = bytearray(masked_frame(TEXT, packed[:-4]))
    frame[0] |= 0x40
    return bytes(frame)


async def test_a_client_can_publish_over_its_socket(server: Server) -> None:
    """Many at once are answered in order, and what it says next is heard after that."""
    async with connect(server.ws_url + "me?protocol=bookcast.v1") as client:
        await client.hear()
        for number in range(600):
            await client.say(
                {
                    "action": "publish",
                    "channel": "trades",
                    "symbol": "AAPL",
                    "data": {"trades": [{"price": 1, "size": number}]},
                    "id": number,
                }
            )
        await client.say({"action": "ping", "id": "end"})
        heard = [await client.hear() for _ in range(601)]
    assert [answer["id"] for answer in heard] == [*range(600), "end"]
    assert [answer["seq"] for answer in heard[:600]] == list(range(1, 601))


async def test_what_a_publisher_sends_under_load_waits_and_keeps_its_order(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing overtakes what waits, neither when the load is over nor when the publisher leaves."""
    resting = False
    monkeypatch.setattr(server.parts.hub, "is_resting", lambda: resting)
    held: list[Callable[[], None]] = []

    def publication(number: int) -> bytes:
        return masked_frame(
            TEXT,
            b'{"action":"publish","channel":"trades","symbol":"AAPL",'
            b'"data":{"trades":[{"price":1,"size":%d}]}}' % number,
        )

    async with connect(server.ws_url + "me?protocol=bookcast.v1") as client:
        await client.hear()
        await client.ask({"action": "subscribe", "symbol": "AAPL", "channel": "trades"})
        await client.hear()
        publisher = await raw(server, "/ws/pub?protocol=bookcast.v1")
        publisher.writer.write(publication(1))  # from here on it is known as a publisher
        assert (await client.hear())["type"] == "trade"
        await client.hear()
        resting = True
        with monkeypatch.context() as patch:
            patch.setattr(server.parts.hub, "before_flush", held.append)
            publisher.writer.write(publication(2)[:20])
            await eventually(lambda: len(held) == 1, "the bytes to wait")
        resting = False
        publisher.writer.write(publication(2)[20:] + publication(3))
        await asyncio.sleep(0.01)
        publisher.writer.close()
        sizes: list[int] = []
        while len(sizes) < 2:
            message = await client.hear()
            sizes += [trade["size"] for trade in message["data"]["trades"]]
        assert sizes == [2, 3]
    for function in held:
        function()  # its flush comes too late, and finds nothing


async def test_much_that_a_publisher_sends_waits_for_nothing(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is bounded."""
    monkeypatch.setattr(server.parts.hub, "is_resting", lambda: True)
    monkeypatch.setattr(server.parts.hub, "before_flush", lambda _function: None)
    deep: Any = {"bids": [[price, 1] for price in range(5000, 0, -1)], "asks": []}
    async with connect(server.ws_url + "me?protocol=bookcast.v1") as client:
        await client.hear()
        for _ in range(5):
            await client.say(
                {"action": "publish", "channel": "orderbook", "symbol": "AAPL", "data": deep}
            )
        assert [(await client.hear())["seq"] for _ in range(4)] == [1, 2, 3, 4]
        client.connection.transport.abort()  # a goodbye would wait for its answer


async def test_an_engine_that_waits_gets_a_task(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what the client says meanwhile waits for the answers."""
    publish_all = server.parts.publisher.publish_all
    released = asyncio.Event()

    async def slowly(*publication: Any) -> Any:
        await released.wait()
        return await publish_all(*publication)

    async with connect(server.ws_url + "me?protocol=bookcast.v1") as client:
        [socket_] = websockets_of(server)
        endpoint = msgspec.structs.replace(
            socket_._endpoint, publish=slowly, max_message_bytes=1 << 20
        )
        monkeypatch.setattr(socket_, "_endpoint", endpoint)
        monkeypatch.setattr(server.parts.backend.engine, "waits", True)
        await client.hear()
        publish = {"action": "publish", "channel": "quote", "symbol": "A", "data": {"last": 1}}
        await client.say({**publish, "id": 1})
        await client.say({"action": "ping", "id": 2})
        await eventually(lambda: socket_._working is not None, "the publication")
        for number in range(300):
            await client.say({"action": "ping", "id": number})
        released.set()
        heard = [(await client.hear())["type"] for _ in range(302)]
    assert heard == ["published", *["pong"] * 301]


@pytest.mark.no_cover
async def test_what_is_asked_after_publishing_waits_and_is_answered_as_the_client_takes_it(
    anyio_backend: object,
) -> None:
    """A small question must not make endless answers in the server's memory."""
    async with serve(port=0, message_rate=0) as server:
        await ask_much_after_publishing(server)


async def ask_much_after_publishing(server: Server) -> None:
    client = await raw(server, "/ws/me?protocol=bookcast.v1")
    symbols = [f"{'x' * 50}{number}" for number in range(256)]
    client.send(TEXT, json.dumps({"action": "subscribe", "symbols": symbols}).encode())
    for _ in range(1 + 2 * len(symbols)):
        await client.frame()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined] # a stream of ours has one that reads
    quote = b'{"action":"publish","channel":"quote","symbol":"A","data":{"last":1}}'
    client.writer.write(masked_frame(TEXT, quote) + masked_frame(TEXT, b'{"action":"list"}') * 1500)
    [socket_] = websockets_of(server)
    await eventually(lambda: bool(registry_of(server).held()), "the client to be full")
    assert socket_.backlog() < 1 << 20
    client.writer.transport.resume_reading()  # type: ignore[attr-defined] # the same
    kinds = [json.loads((await client.frame())[1])["type"] for _ in range(1501)]
    assert kinds == ["published", *["list"] * 1500]
    client.writer.close()


async def test_a_publisher_that_leaves_at_once_still_gets_its_answers(server: Server) -> None:
    """Before our goodbye."""
    client = await raw(server, "/ws/me?protocol=bookcast.v1")
    await client.frame()
    quote = b'{"action":"publish","channel":"quote","symbol":"A","data":{"last":1}}'
    client.writer.write(masked_frame(TEXT, quote) + masked_frame(CLOSE, b"\x03\xe8"))
    assert json.loads((await client.frame())[1])["type"] == "published"
    assert (await client.frame())[0] == CLOSE
    client.writer.close()


async def test_a_fault_while_publishing_closes_with_1011(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has why."""

    async def fail(_self: object, _publish: object) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr(Session, "work", fail)
    client = await raw(server, "/ws/me", V1)
    client.send(TEXT, b'{"action":"publish","channel":"quote","symbol":"A","data":{"last":1}}')
    assert await client.close_code() == 1011
    assert "out of order" in caplog.text


async def test_a_client_that_takes_nothing_is_closed_as_too_slow() -> None:
    """When it reads again at last, it finds why."""
    async with serve(port=0, slow_timeout=0.3) as server:
        client = await raw(server, "/ws/me?symbols=AAPL")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined] # a stream of ours has one that reads
        big: Any = {"bids": [[price, 1] for price in range(20_000, 0, -1)], "asks": []}

        async def publish_until_gone() -> None:
            while server.connection_count:
                await server.publish("AAPL", big)
                await asyncio.sleep(0.01)

        publishing = asyncio.create_task(publish_until_gone())
        await eventually(lambda: bool(registry_of(server).held()), "the client to be full")
        async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http:
            stats = (await http.get("/stats")).json()
        assert stats["connections_held"] in {0, 1}  # it may be gone by now
        for held in stats["held"]:
            assert (held["client_id"], held["subscriptions"]) == ("me", 1)
            assert held["bytes_waiting"] > 0
        await asyncio.wait_for(publishing, PATIENCE)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined] # the same
        assert await client.close_code() == 4008
        assert registry_of(server).too_slow == 1


@pytest.mark.no_cover
async def test_a_slow_v1_client_is_caught_up_by_one_delta_that_proves_the_book(
    server: Server,
) -> None:
    """From where it was to the newest, with its checksum."""
    client = await raw(server, "/ws/me?protocol=bookcast.v1")
    client.send(TEXT, b'{"action":"subscribe","symbol":"AAPL","mode":"delta"}')
    client.writer.transport.pause_reading()  # type: ignore[attr-defined] # a stream of ours has one that reads
    replica = Replica()
    [socket_] = websockets_of(server)

    def wide(number: int) -> BookData:
        return {"bids": [[price, number] for price in range(5000, 0, -1)], "asks": []}

    number = 0
    await server.publish("AAPL", wide(1))
    await eventually(lambda: socket_._session is not None, "the session")
    while socket_._session is not None and socket_._session.outbox.writable:
        number += 1
        await server.publish("AAPL", wide(number))
        await asyncio.sleep(0)
    for _ in range(50):
        number += 1
        await server.publish("AAPL", wide(number))
    client.writer.transport.resume_reading()  # type: ignore[attr-defined] # the same
    while not replica.bids or replica.bids[1] != [1, number]:
        replica.hear(json.loads((await client.frame())[1]))
    assert replica.kinds.count("orderbook_delta") < number - 20
    client.writer.close()
