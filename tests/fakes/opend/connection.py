"""One client of the simulated OpenD."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from tests.fakes.opend.sealing import NoSeal, Seal
from tests.fakes.opend.wire import Key, digest_of, frame


class Connection:
    """A connection: what its InitConnect said, its subscriptions, and its writer."""

    def __init__(
        self, number: int, writer: asyncio.StreamWriter, seal: Seal, held: dict[Key, float]
    ) -> None:
        self.number = number
        self.writer = writer
        self.seal = seal
        self.held = held
        self.pushed: set[Key] = set()
        self.detailed: set[str] = set()
        self.firm = 0
        self.greeted = False
        self.notified = False
        self.afterwards: list[Callable[[], None]] = []

    def answer(self, protocol: int, serial: int, message: Any, delay: float) -> None:
        """Send an answer after `delay` seconds; then do what must follow the answer."""
        body = message.SerializeToString()
        data = frame(protocol, serial, digest_of(body), self.seal.seal(body))
        if delay:
            asyncio.get_running_loop().call_later(delay, self.write, data)
        else:
            self.write(data)
        afterwards, self.afterwards = self.afterwards, []
        for action in afterwards:
            action()

    def push(self, protocol: int, body: bytes) -> None:
        """Send a push."""
        self.write(frame(protocol, 0, digest_of(body), self.seal.seal(body)))

    def write(self, data: bytes | bytearray) -> None:
        """Write bytes, unless it is gone."""
        if not self.writer.is_closing():
            self.writer.write(data)

    @property
    def encrypts(self) -> bool:
        """Whether bodies are encrypted."""
        return not isinstance(self.seal, NoSeal)
