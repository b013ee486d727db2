"""Time that only the script moves, and secrets that are counted instead of drawn.

Functions of :mod:`time` and :mod:`secrets` are bound as defaults when bookcast is imported, so
:func:`install` must come before that.
"""

from __future__ import annotations

# These wait for threads and processes in real time: they take the real clock along here.
import queue  # noqa: F401 - imported before the clock is replaced
import random
import secrets
import subprocess  # noqa: F401 - imported before the clock is replaced
import sys
import threading  # noqa: F401 - imported before the clock is replaced
import time
from typing import Final

WALL_SECONDS: Final = 1_767_364_200
"""When a scenario begins: 2026-01-02T14:30:00Z."""

MONOTONIC_SECONDS: Final = 1000

MICROS: Final = 1_000_000


class Clock:
    """The process's time, in whole microseconds, so that sums don't depend on their order."""

    def __init__(self) -> None:
        self.micros = 0
        self._issued = 0

    def reset(self) -> None:
        """Begin another scenario."""
        self.micros = self._issued = 0

    def wall(self) -> float:
        return (WALL_SECONDS * MICROS + self.micros) / MICROS

    def monotonic(self) -> float:
        return (MONOTONIC_SECONDS * MICROS + self.micros) / MICROS

    def wall_ns(self) -> int:
        return (WALL_SECONDS * MICROS + self.micros) * 1000

    def monotonic_ns(self) -> int:
        return (MONOTONIC_SECONDS * MICROS + self.micros) * 1000

    def _issue(self) -> int:
        self._issued += 1
        return self._issued

    def token_urlsafe(self, _nbytes: int | None = None) -> str:
        return f"issued{self._issue():06d}"

    def token_hex(self, nbytes: int | None = None) -> str:
        return f"{self._issue():0{2 * (nbytes or 16)}x}"

    def token_bytes(self, nbytes: int | None = None) -> bytes:
        return self._issue().to_bytes(nbytes or 16, "big")


CLOCK: Final = Clock()


def install() -> None:
    """Replace the clocks, secrets and chance of this process."""
    assert "bookcast" not in sys.modules, "bookcast has taken the real clock along already"
    for module, name, function in (
        (time, "time", CLOCK.wall),
        (time, "monotonic", CLOCK.monotonic),
        (time, "perf_counter", CLOCK.monotonic),
        (time, "time_ns", CLOCK.wall_ns),
        (time, "monotonic_ns", CLOCK.monotonic_ns),
        (secrets, "token_urlsafe", CLOCK.token_urlsafe),
        (secrets, "token_hex", CLOCK.token_hex),
        (secrets, "token_bytes", CLOCK.token_bytes),
        (random, "random", lambda: 0.5),
        (random, "shuffle", lambda _items: None),
    ):
        setattr(module, name, function)
