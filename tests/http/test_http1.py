import asyncio
import json
import re
from collections.abc import Callable, Sequence

import pytest

from bookcast import Server, serve
from tests.support import PATIENCE, eventually, handshake, masked_frame

BOOK = b'{"bids": [[189.9, 300]], "asks": []}'
SMUGGLED = b"POST /broadcast/orderbook?symbol=EVIL HTTP/1.1\r\nHost: localhost\r\n\r\n"
H2C = (
    "Connection: Upgrade, HTTP2-Settings",
    "Upgrade: h2c",
    "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
)
OTHER_OFFERS = [
    H2C,
    ("Connection: upgrade", "Upgrade: TLS/1.2, HTTP/2.0"),
    ("Connection: close", "Connection: Upgrade", "Upgrade: websocket"),  # but a POST
    ("Upgrade: h2c", "X-Empty:", "Connection: keep-alive, Upgrade"),
]
LAST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def request(
    *headers: str, body: bytes = BOOK, target: str = "/broadcast/orderbook?symbol=AAPL"
) -> bytes:
    """Write a publication, its body announced by its length unless the headers say otherwise."""
    lines = [f"POST {target} HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    if not any("chunked" in header for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, *headers, "", ""]).encode() + body


def chunked(body: bytes) -> bytes:
    """Write a body in two chunks, with a trailer field behind it."""
    pieces = [body[:7], body[7:], b""]
    return b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in pieces[:2]) + b"0\r\nX: y\r\n\r\n"


def whole(data: bytes) -> list[bytes]:
    """Send it in one segment."""
    return [data]


def halves(data: bytes) -> list[bytes]:
    """Send the first head in a segment of its own."""
    end = data.index(b"\r\n\r\n") + 4
    return [data[:end], data[end:]]


def by_byte(data: bytes) -> list[bytes]:
    """Send each byte by itself."""
    return [data[at : at + 1] for at in range(len(data))]


SEGMENTS = [whole, halves, by_byte]


async def answers(port: int, pieces: Sequence[bytes]) -> list[tuple[int, bytes]]:
    """Send pieces; read to the end, and return status and content of each answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        # The server runs in the same loop, and reads a piece before the next one is sent.
        await asyncio.sleep(0.002 if len(pieces) < 10 else 0)
    data = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return list(split(data))


def split(data: bytes) -> list[tuple[int, bytes]]:
    """Take answers apart, by their lengths."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        size = int(length[1]) if length else 0
        found.append((status, data[:size]))
        data = data[size:]
    return found


def statuses(found: Sequence[tuple[int, bytes]]) -> list[int]:
    return [status for status, _ in found]


@pytest.mark.parametrize("segments", SEGMENTS)
@pytest.mark.parametrize("offer", OTHER_OFFERS[:2] + OTHER_OFFERS[3:])
async def test_an_offer_that_is_not_taken_up_changes_nothing(
    server: Server, offer: Sequence[str], segments: Callable[[bytes], list[bytes]]
) -> None:
    """The body is a body, however it comes, and the next request is one."""
    data = request(*offer) + request(*offer, "Transfer-Encoding: chunked", body=chunked(BOOK))
    found = await answers(server.port, [*segments(data + request()), LAST])
    assert statuses(found) == [200, 200, 200, 200]
    assert [json.loads(content)["seq"] for _, content in found[:3]] == [1, 2, 3]


@pytest.mark.parametrize("segments", SEGMENTS)
@pytest.mark.parametrize("offer", OTHER_OFFERS)
async def test_a_body_is_never_read_as_a_request(
    server: Server, offer: Sequence[str], segments: Callable[[bytes], list[bytes]]
) -> None:
    """Although it looks like one: there is one answer to one request."""
    data = request(*offer, "Connection: close", body=SMUGGLED)
    found = await answers(server.port, segments(data))
    assert len(found) == 1
    assert json.loads(found[0][1])["code"] == "invalid_json"
    assert not await server_knows(server, "EVIL")


async def server_knows(server: Server, symbol: str) -> bool:
    """Return whether a book of the symbol was published."""
    target = f"GET /books/{symbol} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    return statuses(await answers(server.port, [target.encode()])) == [200]


async def test_many_offers_in_one_segment_are_answered_in_order(server: Server) -> None:
    """Without a limit on how many."""
    found = await answers(server.port, [request(*H2C) * 200 + LAST])
    assert statuses(found) == [200] * 201
    assert [json.loads(content)["seq"] for _, content in found[:-1]] == list(range(1, 201))


async def test_fields_behind_a_body_say_nothing_about_the_request(server: Server) -> None:
    """A proxy that takes a header away from the head may let it through there."""
    trailers = b"0\r\nContent-Type: application/json\r\nOrigin: https://evil.example\r\n\r\n"
    body = b"%x\r\n%s\r\n" % (len(BOOK), BOOK) + trailers
    data = request("Transfer-Encoding: chunked", body=body)
    typed = data.replace(b"Content-Type: application/json\r\n", b"", 1)
    assert statuses(await answers(server.port, [data, typed, LAST])) == [200, 415, 200]


@pytest.mark.parametrize(
    ("upgrade_line", "connection"),
    [
        ("Upgrade: websocket", "Connection: Upgrade"),
        ("Upgrade: WebSocket", "Connection: keep-alive, Upgrade"),
        ("Upgrade: h2c, websocket", "Connection: Upgrade\r\nConnection: keep-alive"),
        ("Upgrade: h2c\r\nUpgrade: websocket", "Connection: ,upgrade,"),
    ],
)
async def test_an_offer_of_websocket_is_taken_up(
    server: Server, upgrade_line: str, connection: str
) -> None:
    """Among others, in any letter case; what is sent along with it are frames."""
    data = handshake("/ws/me").replace(b"Upgrade: websocket", upgrade_line.encode())
    data = data.replace(b"Connection: Upgrade", connection.encode(), 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data + masked_frame(1, b'{"action":"ping"}'))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    assert b"pong" in await asyncio.wait_for(reader.readexactly(16), PATIENCE)
    writer.close()


@pytest.mark.parametrize("segments", SEGMENTS)
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_handshake_with_a_body_is_refused(
    server: Server, is_chunked: bool, segments: Callable[[bytes], list[bytes]]
) -> None:
    """The body is neither a request nor a frame, and nothing behind it is."""
    framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(SMUGGLED)}"
    body = chunked(SMUGGLED) if is_chunked else SMUGGLED
    data = handshake("/ws/me", framing) + body
    [(status, content)] = await answers(server.port, segments(data))
    assert status == 400
    assert b"handshake has no body" in content
    assert server._refusals.counts == {"invalid_request": 1}


async def test_a_handshake_may_say_that_it_has_no_body(server: Server) -> None:
    """And ask for 100 Continue, which comes before the 101."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(handshake("/ws/me", "Content-Length: 0", "Expect: 100-continue"))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    writer.close()


async def test_a_handshake_over_http_1_0_offers_nothing(server: Server) -> None:
    """HTTP/1.0 has no upgrades."""
    data = handshake("/ws/me").replace(b"HTTP/1.1", b"HTTP/1.0")
    assert statuses(await answers(server.port, [data])) == [426]


async def test_a_handshake_waits_for_no_other_answer(server: Server) -> None:
    """The request before it is answered, then it is refused."""
    data = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" + handshake("/ws/me")
    found = await answers(server.port, [data])
    assert statuses(found) == [200, 400]
    assert b"isn't answered yet" in found[1][1]


async def test_connect_is_refused_and_nothing_behind_it_is_read(server: Server) -> None:
    """It would be another protocol."""
    data = b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert statuses(await answers(server.port, [data + request()])) == [405]
    assert not await server_knows(server, "AAPL")


@pytest.mark.parametrize("bad", [b"nonsense\r\n\r\n", b"GET /livez HTTP/1.1\r\nX : y\r\n\r\n"])
async def test_what_is_not_http_is_refused_in_its_turn(server: Server, bad: bytes) -> None:
    """Requests before it have their own answers."""
    data = request() + b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" + bad + request()
    assert statuses(await answers(server.port, [data])) == [200, 200, 400]


async def test_a_broken_body_is_answered_in_its_turn(server: Server) -> None:
    """The application hears nothing of it."""
    broken = request("Transfer-Encoding: chunked", body=b"5\r\n{}") + b"nonsense\r\n"
    assert statuses(await answers(server.port, [request() + broken + request()])) == [200, 400]


async def test_a_body_that_never_comes_has_one_answer() -> None:
    """The one that it had already."""
    async with serve(port=0, header_timeout=0.05) as server:
        data = request(target="/nowhere")[:-1]
        assert statuses(await answers(server.port, [data])) == [404]
        await eventually(lambda: server._refusals.counts["request_timeout"] == 1, "the deadline")


@pytest.mark.parametrize("offer", [(), H2C])
async def test_who_waits_for_100_continue_gets_it_when_the_body_is_wanted(
    server: Server, offer: Sequence[str]
) -> None:
    """Once, and the connection goes on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    data = request("Expect: 100-Continue", *offer)
    writer.write(data[: -len(BOOK)])
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(BOOK + LAST)
    assert statuses(split(await reader.read())) == [200, 200]
    writer.close()


@pytest.mark.parametrize("follows", [b"", BOOK, SMUGGLED, request(*H2C)])
async def test_who_is_answered_instead_of_100_continue_is_not_read_further(
    server: Server, follows: bytes
) -> None:
    """Nobody knows whether the body or another request comes."""
    head = request("Expect: 100-continue", target="/nowhere")[: -len(BOOK)]
    assert statuses(await answers(server.port, [head + follows])) == [404]
    assert not await server_knows(server, "AAPL")


async def test_http_1_0_knows_no_100_continue(server: Server) -> None:
    """Its clients would take it for the answer."""
    data = request("Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0")
    assert statuses(await answers(server.port, [data])) == [200]


@pytest.mark.parametrize(
    "framing",
    [
        ("Content-Length: 5", "Transfer-Encoding: chunked"),
        ("Content-Length: 5", "Content-Length: 6"),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked, identity",),
        ("Content-Length: +5",),
        ("Content-Length: 5, 6",),
        ("Content-Length : 5",),
    ],
)
@pytest.mark.parametrize("offer", [(), H2C])
async def test_a_body_of_unclear_length_is_refused(
    server: Server, framing: Sequence[str], offer: Sequence[str]
) -> None:
    """With or without an offer to upgrade; nothing behind it is read."""
    lines = ["POST /broadcast/orderbook?symbol=AAPL HTTP/1.1", "Host: localhost"]
    lines += ["Content-Type: application/json", *offer, *framing, "", ""]
    data = "\r\n".join(lines).encode() + b"5\r\nhello\r\n0\r\n\r\n" + request()
    assert statuses(await answers(server.port, [data])) == [400]
    assert not await server_knows(server, "AAPL")


@pytest.mark.parametrize("target", ["/livez", "http://localhost/livez", "/ws/me"])
async def test_a_request_names_one_host(server: Server, target: str) -> None:
    """Of two, a proxy may have looked at the other one."""
    data = handshake(target, "Host: evil.example")
    assert statuses(await answers(server.port, [data])) == [400]
    plain = data.replace(b"Upgrade", b"X-Nothing")
    assert statuses(await answers(server.port, [plain])) == [400]


async def test_the_host_in_an_address_counts(server: Server) -> None:
    """A handshake may be written so as well."""
    data = b"GET http://evil.example/livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    listed = b"GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    own = b"GET http://localhost/health HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    assert statuses(await answers(server.port, [data, listed, own, LAST])) == [200, 421, 200, 200]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(handshake("ws://localhost/ws/me"))
    assert (await reader.readline()).startswith(b"HTTP/1.1 101")
    writer.close()
