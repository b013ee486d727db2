import asyncio
import socket
import sys
from collections.abc import AsyncIterator

import pytest

from bookcast.transport.socket_options import is_acknowledged, make_slowness_visible
from tests.support import eventually

Pair = tuple[asyncio.Transport, socket.socket]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """Give our transport of a connection, and the other side's socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    yield transport, theirs
    transport.abort()
    theirs.close()
    await asyncio.sleep(0)


@pytest.mark.parametrize("closes", [True, False])
async def test_who_closes_having_read_all_had_all(pair: Pair, closes: bool) -> None:
    """Who is still there may not have read it."""
    transport, theirs = pair
    transport.pause_reading()
    transport.write(b"all of it")
    assert await asyncio.to_thread(theirs.recv, 100) == b"all of it"
    if closes:
        theirs.close()
    if closes and sys.platform == "linux":
        await eventually(lambda: is_acknowledged(transport), "the end of their side")
    else:
        assert not is_acknowledged(transport)


async def test_what_is_written_after_a_close_was_not_had(pair: Pair) -> None:
    """Whatever became of it."""
    transport, theirs = pair
    transport.pause_reading()
    theirs.close()
    transport.write(b"too late")
    for _ in range(20):
        await asyncio.sleep(0.005)
        assert not is_acknowledged(transport)


async def test_the_kernel_hides_no_slow_client(pair: Pair) -> None:
    """Where the platform has the options for that."""
    transport, _ = pair
    make_slowness_visible(transport, give_up=40.0)
    sock = transport.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 40_000
