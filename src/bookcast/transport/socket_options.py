"""Options of a client's TCP connection, and what the kernel reports about it."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

HIGH_WATER: Final = 32 * 1024
"""A client that has this many bytes waiting in this process can't take data."""

NOT_SENT_LOW_WATER: Final = 16 * 1024
"""Bound of unsent bytes in the kernel; by default, megabytes there would hide a slow client."""

KEEP_ALIVE_SECONDS: Final = 20
"""The kernel probes a silent connection this often."""

TCP_INFO_UNACKED: Final = 24
"""Offset of the number of unacknowledged segments in Linux's struct tcp_info."""

TCP_CLOSE_WAIT: Final = 8
"""Its first byte if the client has closed its side and nothing else has happened."""


def is_acknowledged(transport: asyncio.Transport) -> bool:
    """Return whether the client's kernel has acknowledged all sent bytes.

    If the client closes its side then, its program has read them all: with unread bytes its kernel
    would have reset the connection instead. False if this kernel doesn't report it.
    """
    sock = transport.get_extra_info("socket")
    if not hasattr(socket, "TCP_INFO") or transport.get_write_buffer_size() or sock is None:
        return False
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_UNACKED + 4)
    except OSError:
        return False
    # If bytes are written after the client has closed, the connection is reset, and this state is
    # gone.
    return info[0] == TCP_CLOSE_WAIT and not any(info[TCP_INFO_UNACKED:])


def make_slowness_visible(transport: asyncio.Transport, give_up: float) -> None:
    """Make the transport report a slow client after tens of frames instead of megabytes.

    ``give_up``: the kernel ends a connection if the client takes no data for this many seconds.
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
