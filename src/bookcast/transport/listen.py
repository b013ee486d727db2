"""Binds the port on every address of a host name, or explains in one sentence why it can't."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys

from bookcast.errors import StartupError

_FAULTS = {
    errno.EADDRINUSE: "is already in use; stop the program that has it, or choose another port "
    "with WEBSOCKET_PORT (--port)",
    errno.EACCES: "needs more rights than this user has; choose a port above 1023 with "
    "WEBSOCKET_PORT (--port)",
}


async def listen(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """Bind the port on every address of the host name.

    ``shared``: other processes listen on it too; the kernel spreads connections over them.

    Raises:
        StartupError: the port can't be bound; the message says what to do.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise unresolvable(host, error) from None
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            # With port 0, the second address gets the port that the first one was given.
            chosen = sockets[0].getsockname()[1] if sockets else port
            sockets.append(
                socket.create_server(
                    (str(address[0]), chosen, *address[2:]),  # with the zone of an IPv6 address
                    family=family,
                    backlog=2048,
                    reuse_port=shared,
                    # "::" stands for every address of the machine, those of IPv4 too.
                    dualstack_ipv6=address[0] == "::" and socket.has_dualstack_ipv6(),
                )
            )
    except OSError as error:
        for sock in sockets:
            sock.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise StartupError(
                f"HOST is {host!r}, but this machine doesn't have that address; set it to one that "
                "it has, or to 0.0.0.0 for all"
            ) from None
        fault = _FAULTS.get(error.errno or 0, f"can't be opened: {error}")
        raise StartupError(f"Port {port} on {host} {fault}") from None
    return sockets


def unresolvable(host: str, error: Exception) -> StartupError:
    """Return the error for a host name that can't be resolved."""
    return StartupError(
        f"HOST is {host!r}, which can't be resolved: {error}; set it to 127.0.0.1, to 0.0.0.0 "
        "for every address, or to a name of this machine"
    )


def open_files() -> int:
    """Return how many files and connections this process may have open at once."""
    try:
        import resource  # noqa: PLC0415 - not on every platform
    except ImportError:
        return sys.maxsize
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
