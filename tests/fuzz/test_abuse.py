"""Floods, bombs and half sentences: the server still serves, says what it refused, and stays small.

What a client of ours gets meanwhile it gets in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import socket
import struct
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from bookcast import Server, serve
from tests.fuzz.serving import serving
from tests.support import PATIENCE, connect, eventually, handshake, masked_frame

TEXT, BINARY, CLOSE, PING, CONTINUATION = 1, 2, 8, 9, 0

MESSAGES: Final = 90_000
CONNECTIONS: Final = 300
KNOCKS: Final = 10_000

IN_TIME: Final = 5.0
"""Seconds that a well-behaved client may wait, on a machine of two cores that is busy with us."""

FLAT: Final = 5_000_000
"""Bytes by which memory may differ: what the allocator keeps in pieces, and bounded caches. A leak
of 64 bytes a message, or of one kilobyte a connection, would be more."""


async def talk(port: int, first: bytes = b"", then: bytes = b"") -> bytes:
    """Connect, send, after the head of the answer send more, and give all that comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                writer.write(first)
                if then:
                    answer = await reader.readuntil(b"\r\n\r\n")
                    writer.write(then)
                while chunk := await reader.read(65_536):
                    answer += chunk
    finally:
        writer.transport.abort()
    return answer


def close_code(answer: bytes) -> int:
    """Find the close frame at the end of what a WebSocket sent."""
    _, _, frames = answer.partition(b"\r\n\r\n")
    while frames:
        opcode, length, head = frames[0] & 15, frames[1], 2
        if length == 126:
            length, head = int.from_bytes(frames[2:4], "big"), 4
        if opcode == CLOSE:
            return int.from_bytes(frames[head : head + 2], "big")
        frames = frames[head + length :]
    return 0


@asynccontextmanager
async def besieged(**settings: Any) -> AsyncIterator[Server]:
    """Give a server, and see that it serves afterwards."""
    async with serve(port=0, **settings) as server:
        yield server
        if settings.get("auth_mode") is None:
            async with connect(server.ws_url + "after") as client:
                assert await client.silent()


@pytest.fixture(autouse=True)
def _without_a_fault(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing that comes from outside is a fault of ours."""
    caplog.set_level(logging.INFO)
    yield
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def refusals(server: Server) -> dict[str, int]:
    """Read what was refused, where people and machines look."""
    async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http:
        counts: dict[str, int] = (await http.get("/stats")).json()["refusals"]
        numbers = (await http.get("/metrics")).text
    for reason, count in counts.items():
        assert f'bookcast_refusals_total{{reason="{reason}"}} {float(count)}' in numbers
    return counts


# The flood


WORDS: Final = (
    *("", "null", "[]", "{", "nan", '{"action":', '{"action":1}', '{"action":"dance"}'),
    '{"action":"publish","channel":"x","symbol":0A"}',
    '{"action":"subscribe","symbol":"\\ud800"}',
    '{"action":"list","id":NaN}',
)


def nonsense(dice: random.Random) -> bytes:
    """Make one frame of a message that can't be meant, and that a connection survives."""
    kind = dice.randrange(7)
    if kind == 0:
        return masked_frame(BINARY, dice.randbytes(dice.randrange(40)))
    symbol = chr(dice.randrange(0x20)) + "é" * dice.randrange(70)
    damaged = bytearray(b'{"action":"subscribe","symbols":["AAPL"],"depth":5,"id":1}')
    damaged[dice.randrange(len(damaged))] = dice.choice(b'{}[]",:0')
    text = (
        b"[" * dice.randrange(2000),
        dice.randbytes(20).hex().encode(),
        json.dumps({"action": "subscribe", "symbol": symbol}).encode(),
        b'{"action":"list","id":%d' % dice.randrange(10**30),
        b"x" + bytes(damaged),
        dice.choice(WORDS).encode(),
    )[kind - 1]
    return masked_frame(TEXT, text)


def garbage(dice: random.Random) -> bytes:
    """Make the bytes of a connection that comes to nothing."""
    whole = handshake("/ws/flood")
    path = dice.randbytes(5).hex().encode()
    return dice.choice(
        (
            dice.randbytes(dice.randrange(1, 200)),
            whole[: dice.randrange(len(whole))],
            whole.replace(b"Sec-WebSocket-Key", b"X-Nothing"),
            whole.replace(b"127.0.0.1", b"evil.example"),
            whole,
            b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path,
            b"POST /broadcast HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n" + whole[:40],
        )
    )


async def chatter(port: int, dice: random.Random, protocol: str, count: int) -> None:
    """Say so much nonsense on one connection, and hear what is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(handshake(f"/ws/flood{protocol}"))
    await reader.readuntil(b"\r\n\r\n")

    async def hear() -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(262_144):
                pass

    hearing = asyncio.create_task(hear())
    for _ in range(count // 30):
        writer.write(b"".join(nonsense(dice) for _ in range(30)))
        await writer.drain()
    writer.write(masked_frame(CLOSE, b"\x03\xe8"))
    async with asyncio.timeout(PATIENCE * 2):
        await hearing
    writer.close()


async def auth_request(port: int, data: bytes) -> None:
    """Connect, send it, and go away without a word."""
    with contextlib.suppress(ConnectionError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.write(data)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.005):
                await reader.read(4096)
        writer.transport.abort()


async def flood(port: int, dice: random.Random, share: float) -> None:
    """Send a share of all of it, some at a time."""
    each = MESSAGES // CONNECTIONS
    talks = round(CONNECTIONS * share)
    for first in range(0, talks, 10):
        await asyncio.gather(
            *(
                chatter(port, dice, ("", "?protocol=bookcast.v1")[n % 2], each)
                for n in range(first, min(first + 10, talks))
            )
        )
    for _ in range(round(KNOCKS * share) // 40):
        await asyncio.gather(*(auth_request(port, garbage(dice)) for _ in range(40)))


async def be_served(url: str, waits: list[float]) -> None:
    """Publish a book now and then, and see how long it takes to come."""
    async with connect(url + "good?protocol=bookcast.v1&symbols=AAPL") as client:
        size = 0
        while True:
            size += 1
            began = time.monotonic()
            book = {"bids": [[1, size]], "asks": []}
            await client.say(
                {"action": "publish", "channel": "orderbook", "symbol": "AAPL", "data": book}
            )
            while (message := await client.hear())["type"] != "orderbook_update" or message["data"][
                "bids"
            ] != book["bids"]:
                pass
            waits.append(time.monotonic() - began)
            await asyncio.sleep(0.05)


def memory(pid: int) -> int:
    """Tell how many bytes of a process are in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.no_cover
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
async def test_a_hundred_thousand_malformed_inputs_leave_no_trace() -> None:
    """Nothing is logged as a fault, nothing is kept, and everybody else is served in time."""
    dice, waits = random.Random(1), list[float]()
    with serving(message_rate="0", header_timeout="2") as running:
        port, pid = int(running.http_url.rpartition(":")[2]), running.process.pid
        good = asyncio.create_task(be_served(f"ws://127.0.0.1:{port}/ws/", waits))
        await flood(port, dice, 0.2)
        await asyncio.sleep(2.5)  # half handshakes have had their time
        before = memory(pid)
        await flood(port, dice, 0.8)
        await asyncio.sleep(2.5)
        after = memory(pid)
        assert not good.done(), good.exception()
        good.cancel()
        async with httpx.AsyncClient(base_url=running.http_url, trust_env=False) as http:
            stats = (await http.get("/stats")).json()
    log = "".join(running.log)
    assert "Traceback" not in log
    assert "fault of ours" not in log
    assert stats["messages_received"] >= MESSAGES
    assert max(waits) < IN_TIME
    assert len(waits) > 20
    assert after - before < FLAT


# What has happened to others


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (
            masked_frame(TEXT, b"", fin=False) + masked_frame(CONTINUATION, b"", fin=False) * 5000,
            1008,
        ),
        (masked_frame(PING, b"x" * 126), 1002),
        (masked_frame(CLOSE, b"x" * 200), 1002),
        (masked_frame(PING, b"x", fin=False), 1002),
        (masked_frame(TEXT, b"\xf0\x9f", fin=False) + masked_frame(CONTINUATION, b"\x41"), 1007),
        (masked_frame(TEXT, b"\xed\xa0", fin=False) + masked_frame(CONTINUATION, b"\x80"), 1007),
        (masked_frame(TEXT, b"x" * 65_537), 1009),
        (b"\x81\xff" + (2**63 - 1).to_bytes(8, "big") + bytes(4), 1009),
        (b"\x81\xff" + b"\xff" * 8 + bytes(4), 1009),
        (b"\x81\x05hello", 1002),
    ],
    ids=[
        "empty fragments",
        "long ping",
        "long close",
        "ping in fragments",
        "cut character",
        "surrogate",
        "too big",
        "2^63 bytes",
        "2^64 bytes",
        "unmasked",
    ],
)
async def test_frames_that_nobody_may_send_close_their_connection_alone(
    frames: bytes, code: int
) -> None:
    """With the code that says why."""
    async with besieged() as server, connect(server.ws_url + "other") as other:
        assert close_code(await talk(server.port, handshake("/ws/me"), frames)) == code
        assert await other.silent()


async def test_a_deflate_bomb_is_not_unpacked() -> None:
    """Ten kilobytes that would be ten megabytes are too big."""
    packer = zlib.compressobj(wbits=-15)
    bomb = packer.compress(bytes(10_000_000)) + packer.flush(zlib.Z_SYNC_FLUSH)
    frame = masked_frame(TEXT | 0x40, bomb[:-4])
    offer = "Sec-WebSocket-Extensions: permessage-deflate"
    async with besieged() as server:
        for _ in range(20):
            assert close_code(await talk(server.port, handshake("/ws/me", offer), frame)) == 1009


@pytest.mark.parametrize(
    "head",
    [
        b"X-A: b\r\n" * 10_000 + b"\r\n",
        b"X-A: " + b"b" * 5_000_000,
        b"X-" + b"a" * 5_000_000,
        b"X-A: b\r\n" * 101 + b"\r\n",
    ],
    ids=["10000 headers", "giant value", "giant name", "101 headers"],
)
async def test_a_head_that_is_too_large_is_refused_before_it_is_read(head: bytes) -> None:
    """With 431, and the limit's name."""
    async with besieged() as server:
        answer = await talk(server.port, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + head)
        # Whoever sends on and on may find the connection reset instead.
        assert answer.startswith(b"HTTP/1.1 431 ") or (answer == b"" and len(head) > 100_000)
        assert (await refusals(server))["header_too_large"] == 1


async def test_a_head_byte_by_byte_has_no_more_time_than_any_other() -> None:
    """Nor has a socket that says nothing, and a body three times as much."""
    head = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"b" * 1000
    half = b"POST /broadcast HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"

    async def trickle(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        answer = asyncio.create_task(reader.read())
        for byte in head:
            if answer.done():
                break
            writer.write(bytes([byte]))
            await asyncio.sleep(0.01)
        writer.transport.abort()
        try:
            return await answer
        except ConnectionResetError:  # what is sent to a closed connection may overtake its answer
            return b"HTTP/1.1 408"

    async with besieged(header_timeout=0.3) as server:
        began = time.monotonic()
        answers = await asyncio.gather(
            trickle(server.port),
            *(talk(server.port) for _ in range(50)),
            talk(server.port, half.replace(b"9\r\n", b"9\r\nContent-Type: application/json\r\n")),
        )
        assert 0.8 < time.monotonic() - began < PATIENCE
        assert [answer[:12] for answer in answers] == [b"HTTP/1.1 408"] * 52
        assert (await refusals(server))["request_timeout"] == 52


async def test_the_next_request_on_a_connection_has_its_time_as_well() -> None:
    """Also when its beginning came together with the one before."""
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with besieged(header_timeout=0.3) as server:
        async with asyncio.timeout(PATIENCE):
            answer = await talk(server.port, request + request[:20])
        assert answer.count(b"HTTP/1.1 200") == 1
        assert answer.count(b"HTTP/1.1 408") == 1


async def test_slow_heads_keep_nobody_from_connecting() -> None:
    """Five hundred of them."""
    async with besieged(header_timeout=30) as server:
        slow = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(500)]
        for _, writer in slow:
            writer.write(b"GET /ws/me HTT")
        began = time.monotonic()
        async with connect(server.ws_url + "new") as client:
            assert await client.silent()
        assert time.monotonic() - began < IN_TIME
        for _, writer in slow:
            writer.transport.abort()


async def test_a_name_that_was_made_to_point_here_is_refused() -> None:
    """A page of that name would be of the same origin (DNS rebinding)."""
    async with besieged() as server:
        for request in (
            b"GET /books/AAPL HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
            handshake("/ws/me").replace(b"Host: 127.0.0.1", b"Host: evil.example"),
            handshake("/ws/me").replace(
                b"Host: 127.0.0.1", b"Host: localhost\r\nHost: evil.example"
            ),
        ):
            assert (await talk(server.port, request)).startswith(b"HTTP/1.1 4")
        assert (await refusals(server))["host_not_allowed"] >= 2


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"a":' * 150_000,
        b'{"bids":' + b"[" * 500_000 + b"]" * 500_000 + b',"asks":[]}',
        b'{"bids":[[1e400,1]],"asks":[]}',
        b'{"bids":[[%s,1]],"asks":[]}' % (b"9" * 100_000),
        b'{"bids":[[1,1e-999999999]],"asks":[],"x":NaN}',
        b'{"%s":[%s1],"bids":NaN}' % (b"k" * 30_000, b"1," * 30_000),
    ],
    ids=["deep", "deep objects", "deep and closed", "infinite", "digits", "NaN", "long path"],
)
async def test_json_that_is_made_to_hurt_is_refused(body: bytes) -> None:
    """Over HTTP and over a WebSocket, with next to no work of this process."""
    async with besieged(max_message_bytes=2_000_000, max_body_bytes=2_000_000) as server:
        began = time.process_time()
        async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http:
            answer = await http.post(
                "/broadcast/orderbook?symbol=AAPL",
                content=body,
                headers={"Content-Type": "application/json"},
            )
        assert 400 <= answer.status_code < 500
        async with connect(server.ws_url + "me", subprotocols=["bookcast.v1"]) as client:
            await client.hear()
            assert (await client.ask(body.decode()))["type"] == "error"
            publish = b'{"action":"publish","channel":"orderbook","symbol":"A","data":%s}' % body
            assert (await client.ask(publish.decode()))["type"] == "error"
        assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: identity, chunked, x\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length : 5\r\n",
        b"Transfer-Encoding: chunked\n\r\n",
    ],
)
async def test_a_request_whose_length_is_ambiguous_is_refused(lines: bytes) -> None:
    """What one reads as a body, another would read as the next request."""
    smuggled = b"0\r\n\r\nGET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = b"POST /broadcast HTTP/1.1\r\nHost: localhost\r\n"
    async with besieged() as server:
        answer = await talk(server.port, head + lines + b"\r\n" + smuggled)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"alive" not in answer
        assert (await refusals(server))["invalid_request"] == 1


async def test_a_request_before_an_upgrade_is_not_answered_within_the_websocket() -> None:
    """Either its answer comes first, or the upgrade doesn't."""
    before = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    hello = masked_frame(TEXT, b'{"action":"ping"}') + masked_frame(CLOSE, b"\x03\xe8")
    async with besieged() as server:
        answer = await talk(server.port, before + handshake("/ws/me"), hello)
        _, _, after = answer.partition(b"101 Switching Protocols")
        assert b"HTTP/1.1" not in after


async def test_a_post_in_small_pieces_is_not_taken_for_a_proxy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They begin with the same letter."""
    async with besieged() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"P")
        await eventually(lambda: len(server._addresses._taken) == 1, "the connection")
        await asyncio.sleep(0.1)
        writer.write(b"OST /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b" 405 " in await reader.readline()
        writer.close()
        assert "untrusted_proxy" not in await refusals(server)


# Limits


async def test_more_messages_than_the_rate_are_refused_and_then_the_connection() -> None:
    """Each refusal is counted."""
    async with besieged(message_rate=5) as server:
        async with connect(server.ws_url + "me", subprotocols=["bookcast.v1"]) as client:
            await client.hear()
            for _ in range(52):
                await client.say({"action": "ping"})
            kinds = [await client.hear() for _ in range(52)]
        assert [one["type"] for one in kinds] == ["pong"] * 50 + ["error"] * 2
        assert kinds[-1]["code"] == "rate_limited"
        assert kinds[-1]["retry_after_ms"] > 0
        assert (await refusals(server))["message_rate"] == 2
        pings = masked_frame(TEXT, b'{"action":"ping"}') * 200
        assert close_code(await talk(server.port, handshake("/ws/me"), pings)) == 1008


@pytest.mark.parametrize(
    ("setting", "status", "reason"),
    [
        ("max_connections", b"503", "server_full"),
        ("max_connections_per_address", b"429", "too_many_connections"),
    ],
)
async def test_a_connection_too_many_is_told_when_to_try_again(
    setting: str, status: bytes, reason: str
) -> None:
    """A program by its handshake's answer; a page, which sees none, is let in, told and closed."""
    async with besieged(**{setting: 2}) as server:
        async with connect(server.ws_url + "a"), connect(server.ws_url + "b"):
            answer = await talk(server.port, handshake("/ws/c"))
            assert answer.startswith(b"HTTP/1.1 " + status)
            assert b"\r\nRetry-After: 5\r\n" in answer
            assert server._refusals.counts[reason] == 1
            page = handshake("/ws/c", "Origin: http://localhost")
            hello = masked_frame(CLOSE, b"\x03\xf5")
            answer = await talk(server.port, page, hello)
            assert answer.startswith(b"HTTP/1.1 101 ")
            assert b'"type":"error"' in answer
            assert close_code(answer) == 1013
        await eventually(lambda: server.connection_count == 0, "the others to be gone")
        assert (await refusals(server))[reason] == 2


async def test_a_kept_connection_is_served_again_when_there_is_room() -> None:
    """Not refused for ever because it was once."""
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with besieged(max_connections_per_address=1) as server:
        async with connect(server.ws_url + "a"):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(request)
            assert b" 429 " in await asyncio.wait_for(reader.readline(), PATIENCE)
            await asyncio.wait_for(reader.readuntil(b"}"), PATIENCE)
        await eventually(lambda: server.connection_count == 0, "the other to be gone")
        writer.write(request)
        line = await asyncio.wait_for(reader.readline(), PATIENCE)
        writer.transport.abort()
        assert line == b"" or b" 200 " in line


async def test_who_never_says_who_they_are_is_closed_and_counted() -> None:
    """After AUTH_TIMEOUT, with a code that asks not to come back."""
    secret = "a secret of more than thirty-two bytes"
    async with besieged(auth_mode="jwt", auth_jwt_secret=secret, auth_timeout=0.1) as server:
        answers = await asyncio.gather(
            *(talk(server.port, handshake(f"/ws/{n}")) for n in range(20))
        )
        assert {close_code(answer) for answer in answers} == {4503}
        assert (await refusals(server))["auth_timeout"] == 20
