import socket

import pytest

from bookcast.errors import StartupError
from bookcast.transport.listen import listen, open_files


async def test_every_address_of_a_host_name_gets_the_same_port() -> None:
    """Also when the first one's was free to choose."""
    sockets = await listen("localhost", 0)
    try:
        assert len({sock.getsockname()[1] for sock in sockets}) == 1
    finally:
        for sock in sockets:
            sock.close()


async def test_several_processes_can_share_a_port_when_they_all_say_so() -> None:
    """One that doesn't is refused in a sentence."""
    [first] = await listen("127.0.0.1", 0, shared=True)
    port = first.getsockname()[1]
    [second] = await listen("127.0.0.1", port, shared=True)
    try:
        assert second.getsockname()[1] == port
        with pytest.raises(StartupError, match=f"Port {port} on 127.0.0.1 is already in use"):
            await listen("127.0.0.1", port)
    finally:
        first.close()
        second.close()


async def test_a_host_that_does_not_exist_is_named() -> None:
    """With the setting to change."""
    with pytest.raises(StartupError, match=r"HOST is 'no-such-host\.invalid'"):
        await listen("no-such-host.invalid", 0)


def test_open_files_are_bounded_by_the_system() -> None:
    """There are at least those that this test has."""
    with socket.socket() as sock:
        assert open_files() > sock.fileno()
