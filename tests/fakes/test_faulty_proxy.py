"""The faulty proxy, in both event loops: the faults that other tests rely on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.conftest import LOOPS
from tests.fakes.faulty_proxy import HOST, RESET, FaultyProxy
from tests.support import PATIENCE, eventually

pytestmark = pytest.mark.parametrize("anyio_backend", LOOPS.values(), ids=LOOPS)

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

SOON = 0.05
"""Seconds in which what isn't held back would have come by far."""


class Target:
    """A server that answers each line with the same line."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.ends: list[str] = []
        self.answer: Callable[[bytes], bytes] = lambda line: line
        self.resets = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self.heard.append(line)
                if self.resets:
                    reset(writer)
                    self.ends.append("own reset")
                    return
                writer.write(self.answer(line))
                await writer.drain()
            self.ends.append("end")
        except ConnectionError:
            self.ends.append("reset")
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


@pytest.fixture
async def target() -> AsyncIterator[tuple[Target, int]]:
    """Yield a target and its port."""
    target = Target()
    server = await asyncio.start_server(target.serve, HOST, 0, limit=2**24)
    async with server:
        yield target, server.sockets[0].getsockname()[1]


@pytest.fixture
async def proxy(target: tuple[Target, int]) -> AsyncIterator[FaultyProxy]:
    """Yield a proxy in front of the target."""
    async with FaultyProxy(target[1]) as running:
        yield running


@asynccontextmanager
async def connect(proxy: FaultyProxy) -> AsyncIterator[Connection]:
    """Connect to a proxy."""
    reader, writer = await asyncio.open_connection(HOST, proxy.port, limit=2**24)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def ask(connection: Connection, line: bytes = b"hello\n") -> bytes:
    """Send a line and read one."""
    connection[1].write(line)
    return await asyncio.wait_for(connection[0].readline(), PATIENCE)


async def assert_silent(reader: asyncio.StreamReader) -> None:
    """Make sure that nothing comes: no bytes, no end."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), SOON)


async def assert_reset(reader: asyncio.StreamReader) -> None:
    """Make sure that a connection doesn't end in good order."""
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), PATIENCE)


async def test_bytes_pass_in_order_and_are_counted(
    proxy: FaultyProxy, target: tuple[Target, int]
) -> None:
    """A half that is closed is closed at the other end as well."""
    async with connect(proxy) as connection, connect(proxy) as other:
        big = b"x" * 3_000_000 + b"\n"
        assert await ask(connection, big) == big
        assert await ask(other) == b"hello\n"
        assert (proxy.connections, proxy.open_connections) == (2, 2)
        assert proxy.bytes_to_target == proxy.bytes_to_client == len(big) + 6
        other[1].write(b"last\n")
        other[1].write_eof()
        assert await other[0].read() == b"last\n"
        await eventually(lambda: proxy.open_connections == 1, "the end of one")
    await eventually(lambda: target[0].ends == ["end"] * 2, "the end of both")


async def test_cutting_resets_both_ends(proxy: FaultyProxy, target: tuple[Target, int]) -> None:
    """New connections are taken at once."""
    async with connect(proxy) as one, connect(proxy) as another:
        await ask(one)
        await ask(another)
        proxy.cut()
        await assert_reset(one[0])
        await assert_reset(another[0])
        await eventually(lambda: target[0].ends == ["reset"] * 2, "the target's resets")
    async with connect(proxy) as again:
        assert await ask(again) == b"hello\n"
        assert (proxy.connections, proxy.open_connections) == (3, 1)


async def test_a_connection_that_was_only_just_made_is_cut_too(proxy: FaultyProxy) -> None:
    """At every step of the way to the target."""
    for steps in range(8):
        async with connect(proxy) as connection:
            await eventually(lambda: proxy.open_connections == 1, "the connection")
            for _ in range(steps):
                await asyncio.sleep(0)
            proxy.cut()
            await assert_reset(connection[0])
            await eventually(lambda: proxy.open_connections == 0, "the end")


async def test_refusing_keeps_those_that_are_connected(proxy: FaultyProxy) -> None:
    """The port is the same when connections are taken again."""
    async with connect(proxy) as connection:
        await ask(connection)
        for _ in range(2):
            proxy.refuse()
            proxy.refuse()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(HOST, proxy.port)
            assert await ask(connection) == b"hello\n"
            proxy.accept()
            proxy.accept()
            async with connect(proxy) as another:
                assert await ask(another) == b"hello\n"


async def test_a_target_that_is_away_resets_the_client(proxy: FaultyProxy) -> None:
    """It may be moved."""
    target, proxy.target = proxy.target, (HOST, 1)
    async with connect(proxy) as connection:
        await assert_reset(connection[0])
    proxy.target = target
    async with connect(proxy) as connection:
        assert await ask(connection) == b"hello\n"


async def test_a_target_that_resets_while_its_replies_are_stalled_resets_the_client(
    proxy: FaultyProxy, target: tuple[Target, int]
) -> None:
    """What the client still sends finds the target's connection closed."""
    target[0].resets = True
    async with connect(proxy) as connection:
        proxy.stall("to_client")
        connection[1].write(b"one\n")
        await eventually(lambda: proxy.half_closed == 1, "the target's reset")
        connection[1].write(b"two\n")
        await eventually(lambda: proxy.open_connections == 0, "the end")
        await assert_reset(connection[0])


async def test_a_stall_passes_nothing_on_and_loses_nothing(
    proxy: FaultyProxy, target: tuple[Target, int]
) -> None:
    """The target doesn't hear of a client that has left either, until it flows again."""
    async with connect(proxy) as connection:
        assert await ask(connection, b"0\n") == b"0\n"
        proxy.stall()
        connection[1].write(b"1\n")
        await assert_silent(connection[0])
        connection[1].transport.abort()
    await asyncio.sleep(SOON)
    assert (target[0].heard, target[0].ends) == ([b"0\n"], [])
    proxy.flow()
    await eventually(lambda: target[0].heard == [b"0\n", b"1\n"], "what was held")
    await eventually(lambda: len(target[0].ends) == 1, "the end")


async def test_either_direction_stalls_by_itself(
    proxy: FaultyProxy, target: tuple[Target, int]
) -> None:
    """Requests may be executed whose answers don't come."""
    async with connect(proxy) as connection:
        proxy.stall("to_client")
        connection[1].write(b"1\n")
        await eventually(lambda: target[0].heard == [b"1\n"], "the request")
        await assert_silent(connection[0])
        proxy.flow("to_client")
        assert await asyncio.wait_for(connection[0].readline(), PATIENCE) == b"1\n"
        proxy.stall("to_target")
        connection[1].write(b"2\n")
        await assert_silent(connection[0])
        assert target[0].heard == [b"1\n"]
        proxy.cut()
        await assert_reset(connection[0])


async def test_what_a_stall_holds_is_bounded(
    proxy: FaultyProxy, target: tuple[Target, int]
) -> None:
    """The sender is no longer read from, and gets the rest across later."""
    target[0].answer = lambda line: b""
    big = (b"x" * 999 + b"\n") * 40_000
    async with connect(proxy) as connection:
        transport = connection[1].transport
        proxy.stall("to_target")
        connection[1].write(big)
        sizes = [len(big), 0]
        while sizes[-1] != sizes[-2]:
            await asyncio.sleep(SOON)
            sizes.append(transport.get_write_buffer_size())
        # What isn't in the sender's buffer is in the kernel's and the proxy's.
        assert sizes[-1] > len(big) // 4
        assert proxy.bytes_to_target == 0
        proxy.flow()
        await eventually(lambda: len(target[0].heard) == 40_000, "all of it")
        assert proxy.bytes_to_target == len(big)


async def test_delays_add_up_and_dont_hold_up_what_follows(proxy: FaultyProxy) -> None:
    """A delay that is shortened is shortened for what waits already."""
    async with connect(proxy) as connection:
        await ask(connection)
        proxy.delay(SOON, "to_target")
        proxy.delay(2 * SOON, "to_client")
        began = time.monotonic()
        for number in range(60):
            connection[1].write(b"%d\n" % number)
            await asyncio.sleep(SOON / 20)
        for number in range(60):
            assert await asyncio.wait_for(connection[0].readline(), PATIENCE) == b"%d\n" % number
        # One after another they would take 180 times as long.
        assert 3 * SOON <= time.monotonic() - began < 120 * SOON
        proxy.delay(1000)
        connection[1].write(b"x\n")
        await assert_silent(connection[0])
        proxy.delay(0)
        assert await asyncio.wait_for(connection[0].readline(), PATIENCE) == b"x\n"


async def test_a_throttled_proxy_passes_so_many_bytes_a_second(proxy: FaultyProxy) -> None:
    """All connections share them, and what is throttled still comes whole."""
    line = b"x" * 9_999 + b"\n"
    async with connect(proxy) as one, connect(proxy) as another:
        proxy.throttle(100_000, "to_client")
        began = time.monotonic()
        for answer in await asyncio.gather(ask(one, line), ask(another, line)):
            assert answer == line
        # There are four pieces, the first of which needn't wait.
        assert time.monotonic() - began >= 0.15
        proxy.throttle(1)
        one[1].write(line)
        await assert_silent(another[0])
        proxy.throttle()
        assert await asyncio.wait_for(one[0].readline(), PATIENCE) == line


async def test_a_reply_is_lost_after_its_request_was_executed(
    proxy: FaultyProxy, target: tuple[Target, int]
) -> None:
    """Once, on that connection alone, and also where the request comes in parts."""
    async with connect(proxy) as connection, connect(proxy) as other:
        assert await ask(connection, b"add 0\n") == b"add 0\n"
        proxy.drop_reply_after(lambda asked: b"add" in asked)
        assert await ask(connection, b"get\n") == b"get\n"
        connection[1].write(b"a")
        assert await ask(other, b"get\n") == b"get\n"
        await eventually(lambda: proxy.bytes_to_target == 15, "the first part")
        connection[1].write(b"dd 1\n")
        await assert_reset(connection[0])
        assert target[0].heard[-1] == b"add 1\n"
        assert proxy.lost_replies == 1
        assert await ask(other, b"add 2\n") == b"add 2\n"


async def test_the_reply_to_lose_may_be_told_from_those_before_it(
    proxy: FaultyProxy, target: tuple[Target, int]
) -> None:
    """The connection isn't cut before the request is executed."""
    async with connect(proxy) as connection:
        proxy.delay(SOON, "to_client")
        proxy.drop_reply_after(lambda asked: b"add" in asked, lambda said: b"add" in said)
        connection[1].write(b"get\nadd\n")
        await assert_reset(connection[0])
        assert target[0].heard == [b"get\n", b"add\n"]


async def test_a_client_that_leaves_before_its_reply_is_lost_ends_the_waiting_for_it(
    proxy: FaultyProxy, target: tuple[Target, int]
) -> None:
    """Nothing is lost then."""
    target[0].answer = lambda line: b""
    async with connect(proxy) as connection:
        proxy.drop_reply_after(lambda asked: True)
        connection[1].write(b"hello\n")
        await eventually(lambda: target[0].heard == [b"hello\n"], "the request")
    await eventually(lambda: proxy.open_connections == 0, "the end")
    target[0].answer = lambda line: line
    async with connect(proxy) as connection:
        assert await ask(connection) == b"hello\n"
        assert proxy.lost_replies == 0
