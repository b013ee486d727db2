"""The Redis of a scenario, and how the loop knows that no reply of it is in transit."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Final

from tests.fakes.redis_server import HOST, RedisServer

SHORT_LIVED_MS: Final = 3_600_000
"""What lives as long as somebody renews it (a node, the feed's lock) lives so long in Redis, whose
clock isn't the script's: a slow machine mustn't let it expire."""

KEPT_MS: Final = 600_000
"""Nothing else has a time to live between this and the above."""

ROUND_TRIPS: Final = 4
"""Redis reads all that came, then answers all: when it has answered so many times, one after the
other, what was asked of it before has been answered too."""


class RedisAtHand:
    """Stops and starts Redis for a scenario, and sets the loop's barrier accordingly.

    The kernel delivers on the loopback in order, so whatever was sent before the barrier's own
    bytes has come when those have.
    """

    def __init__(
        self, server: RedisServer, set_barrier: Callable[[Callable[[], None]], None]
    ) -> None:
        self.server = server
        self._set_barrier = set_barrier
        self._hangs = False
        self._nobody = socket.socket()  # bound, and never listening
        self._nobody.bind((HOST, 0))
        self._connection: socket.socket | None = None
        self._be_there()

    def stop(self) -> None:
        """Stop Redis; its data is lost."""
        self._be_gone()
        self.server.stop()

    def start(self) -> None:
        """Start Redis again, on the same port and empty."""
        self.server.start()
        self._be_there()

    def hang(self) -> None:
        """Make Redis hang: it answers nothing."""
        self._be_gone()
        self._let_expire()
        self.server.pause()
        self._hangs = True

    def go_on(self) -> None:
        """Make Redis answer again, with the data that it had."""
        if self._hangs:
            self._hangs = False
            self.server.resume()
            self._be_there()

    def close(self) -> None:
        """Close the placeholder sockets."""
        self._be_gone()
        self._nobody.close()

    def _let_expire(self) -> None:
        """Delete short-lived keys: they expire while Redis hangs, as no node can renew them."""
        with self.server.client() as client:
            for key in client.scan_iter():
                if KEPT_MS < client.pttl(key) <= SHORT_LIVED_MS:
                    client.delete(key)

    def _be_there(self) -> None:
        self._connection = socket.create_connection((HOST, self.server.port))
        self._set_barrier(self._hear_out)

    def _be_gone(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._set_barrier(self._be_refused)

    def _hear_out(self) -> None:
        assert self._connection is not None
        for _ in range(ROUND_TRIPS):
            self._connection.sendall(b"PING\r\n")
            answer = b""
            while not answer.endswith(b"\r\n"):
                answer += self._connection.recv(64)

    def _be_refused(self) -> None:
        for _ in range(ROUND_TRIPS):
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(self._nobody.getsockname())
