import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bookcast import Server, compose, serve
from bookcast.compose import NodeTimes
from bookcast.errors import StartupError
from bookcast.http.overflow import MAX_READ, Overflow, is_probe
from bookcast.http.server import HttpTimes
from bookcast.settings import from_keywords
from tests.support import PATIENCE, connect, eventually, handshake

ROOM = 4


class Connection:
    def __init__(self) -> None:
        self.turned_away = 0

    def turn_away(self) -> None:
        self.turned_away += 1


def test_one_too_many_takes_the_place_of_who_has_been_read_longest() -> None:
    """Who has sent a head by then, or is gone, isn't read any more."""
    overflow = Overflow(2)
    one, two, three, four = (Connection() for _ in range(4))
    overflow.enter(one)
    overflow.enter(two)
    overflow.leave(one)
    overflow.leave(one)
    overflow.enter(three)
    overflow.enter(four)
    assert [each.turned_away for each in (one, two, three, four)] == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        (b"GET", b"/livez", True),
        (b"HEAD", b"/readyz", True),
        (b"OPTIONS", b"/livez", True),
        (b"GET", b"/readyz?from=haproxy", True),
        (b"POST", b"/livez", False),
        (b"GET", b"/livez/", False),
        (b"GET", b"/health", False),
        (b"GET", b"/", False),
        (b"DELETE", b"/readyz", False),
    ],
)
def test_a_probe_is_told_by_its_method_and_path(
    method: bytes, target: bytes, expected: bool
) -> None:
    """Nothing else is served past a limit."""
    assert is_probe(method, target) is expected


async def ask(port: int, request: str, *, source: str = "127.0.0.1") -> bytes:
    """Send a request, and return all that comes until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    try:
        writer.write(f"{request} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


@asynccontextmanager
async def idle(port: int, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Hold so many connections that say nothing."""
    pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    try:
        yield [reader for reader, _ in pairs]
    finally:
        for _, writer in pairs:
            writer.transport.abort()


@asynccontextmanager
async def full(
    monkeypatch: pytest.MonkeyPatch, times: NodeTimes | None = None
) -> AsyncIterator[Server]:
    """Run a server that has as many connections as its open files allow."""
    monkeypatch.setattr(compose, "open_files", lambda: compose.RESERVED_FILES + ROOM)
    running = Server(from_keywords(port=0), times=times)
    async with running as server, idle(server.port, ROOM):
        await eventually(
            lambda: len(server.parts.http.server_state.connections) == ROOM,
            "the connections",
        )
        yield server


async def test_a_full_server_answers_probes_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each once, and closes; that it is full is counted each time and logged once."""
    async with full(monkeypatch) as server:
        for request in ("GET /livez", "HEAD /readyz", "GET /readyz?a=b"):
            answer = await ask(server.port, request)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close" in answer.lower()
        for offer in ("h2c", "websocket"):
            head = f"GET //livez/ HTTP/1.1\r\nUpgrade: {offer}\r\nConnection: upgrade\r\nX:"
            answer = await ask(server.port, head)
            assert answer.startswith(b"HTTP/1.1 200 " if offer == "h2c" else b"HTTP/1.1 503 ")
        assert b"HTTP/1.1 503" not in await ask(server.port, "OPTIONS /livez")
        for request in ("GET /health", "POST /livez", "GET /books/AAPL", "GET /"):
            answer = await ask(server.port, request)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"server_full" in answer
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(handshake("/ws/me"))
        assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
        writer.transport.abort()
        assert server._refusals.counts == {"server_full": 6}
    lines = [one.message for one in caplog.records if "full" in one.message]
    assert len(lines) == 1
    assert "ulimit -n" in lines[0]


async def test_more_than_the_limit_are_never_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen are read; who came first makes room, and a probe is answered all the same."""
    async with full(monkeypatch) as server, idle(server.port, 60) as readers:
        answer = await ask(server.port, "GET /readyz")
        assert answer.startswith(b"HTTP/1.1 200 ")
        connections = server.parts.http.server_state.connections
        await eventually(lambda: len(connections) <= ROOM + MAX_READ, "the rest to be closed")
        assert (await readers[0].read()).startswith(b"HTTP/1.1 503 ")


async def test_a_head_past_the_limit_has_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """All together, however it drips."""
    times = NodeTimes(http=HttpTimes(head_seconds=0.2))
    async with full(monkeypatch, times) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        began = asyncio.get_running_loop().time()
        for letter in b"GET /livez HTTP/1.1":
            if writer.transport.is_closing():
                break
            writer.write(bytes([letter]))
            await asyncio.sleep(0.02)
        with contextlib.suppress(ConnectionError):
            await reader.read()  # what was sent too late may have reset the connection
        await eventually(lambda: server._refusals.counts["server_full"] == 1, "the refusal")
        assert 0.15 < asyncio.get_running_loop().time() - began < PATIENCE / 2
        writer.transport.abort()


@pytest.mark.parametrize("clients", [3, 9])
async def test_an_address_with_connections_enough_is_answered_probes(clients: int) -> None:
    """Whether or not it is told that it has enough: the balancer may be behind that address."""
    async with serve(port=0, max_connections_per_address=3) as server, idle(server.port, clients):
        answer = await ask(server.port, "GET /health")
        assert answer.startswith(b"HTTP/1.1 429 ")
        for _ in range(3):
            assert (await ask(server.port, "GET /readyz")).startswith(b"HTTP/1.1 200 ")
        elsewhere = await ask(
            server.port, "GET /livez HTTP/1.1\r\nConnection: close\r\nX: ", source="127.0.0.2"
        )
        assert elsewhere.startswith(b"HTTP/1.1 200 ")


async def test_all_places_taken_is_no_reason_to_be_unready(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Else a balancer would refuse everybody; that it is full is logged once."""
    async with (
        serve(port=0, max_connections=1) as server,
        connect(server.ws_url + "a"),
    ):
        for name in "bcd":
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(handshake(f"/ws/{name}"))
            assert (await reader.readline()).startswith(b"HTTP/1.1 503 ")
            writer.transport.abort()
        answer = await ask(server.port, "GET /readyz HTTP/1.1\r\nConnection: close\r\nX: ")
        assert answer.startswith(b"HTTP/1.1 200 ")
    assert len([one for one in caplog.records if "the server is full" in one.message]) == 1


async def test_too_few_open_files_end_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """In words, with what is needed."""
    monkeypatch.setattr(compose, "open_files", lambda: compose.RESERVED_FILES)
    with pytest.raises(StartupError, match=r"open files is 64.*ulimit -n"):
        await serve(port=0).start()
    monkeypatch.setattr(compose, "open_files", lambda: compose.RESERVED_FILES + 18)
    with pytest.raises(StartupError, match="needs 82"):
        await serve(port=0, redis_url="redis://127.0.0.1:1").start()
