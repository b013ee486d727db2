"""What the kernel is told of a client's connection, and what it tells."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

HIGH_WATER: Final = 32 * 1024
"""With so many bytes waiting in this process, a client counts as unable to take more."""

NOT_SENT_LOW_WATER: Final = 16 * 1024
"""So many unsent bytes may wait in the kernel; by default megabytes would hide a slow client."""

KEEP_ALIVE_SECONDS: Final = 20
"""The kernel asks a peer of whom nothing is heard this often."""

TCP_INFO_UNACKED: Final = 24
"""Where Linux's struct tcp_info has the number of segments that nobody has acknowledged."""

TCP_CLOSE_WAIT: Final = 8
"""Its first byte, when the other side has closed and nothing else has happened."""


def is_acknowledged(transport: asyncio.Transport) -> bool:
    """Return whether the other side's kernel has all that was sent.

    When it closes its side then, its program has read all of it: with something unread, the
    connection would have been reset instead. Where the kernel doesn't tell: no.
    """
    sock = transport.get_extra_info("socket")
    if not hasattr(socket, "TCP_INFO") or transport.get_write_buffer_size() or sock is None:
        return False
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_UNACKED + 4)
    except OSError:
        return False
    # What is written after the other side has closed resets the connection, unseen until the end.
    return info[0] == TCP_CLOSE_WAIT and not any(info[TCP_INFO_UNACKED:])


def make_slowness_visible(transport: asyncio.Transport, give_up: float) -> None:
    """Make the transport report a slow client after tens of frames instead of megabytes.

    ``give_up``: seconds after which the kernel ends a connection whose other side takes nothing.
    """
    transport.set_write_buffer_limits(high=HIGH_WATER)
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    for name, value in (
        ("TCP_NOTSENT_LOWAT", NOT_SENT_LOW_WATER),
        ("TCP_USER_TIMEOUT", round(give_up * 1000)),
        ("TCP_KEEPIDLE", KEEP_ALIVE_SECONDS),
        ("TCP_KEEPINTVL", KEEP_ALIVE_SECONDS),
    ):
        option = getattr(socket, name, None)  # not on every platform
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
