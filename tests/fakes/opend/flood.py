"""Order books in masses, cheaply: made beforehand, and only stamped with the time when sent."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import struct
import time
from random import Random
from typing import TYPE_CHECKING

from tests.fakes.opend.payloads import fill_book
from tests.fakes.opend.wire import HEADER, PUSH_ORDER_BOOK, SubType, frame, response

if TYPE_CHECKING:
    from tests.fakes.opend.connection import Connection
    from tests.fakes.opend.server import OpenD

BATCH = 64
"""Books between two looks at the sockets."""
TICK = 0.001
MAX_LAG = 1.0
"""Seconds it may fall behind its rate before it gives up catching up."""
BODIES, FEWEST, MOST = 8192, 16, 256
"""Books made beforehand: of all codes together, and of each."""

STAMP = struct.Struct("<d")
DIGEST = struct.Struct("20s")
DIGEST_AT = 16
PLACEHOLDER = 1234567890.1234567
"""Stands for the time until the book is sent; its bytes are found nowhere else in it."""


class Stamped:
    """A message as it goes over the wire, in which the time is changed in place."""

    def __init__(self, body: bytes) -> None:
        self.data = bytearray(frame(PUSH_ORDER_BOOK, 0, bytes(DIGEST.size), body))
        self.body = memoryview(self.data)[HEADER.size :]
        self._at = self.data.index(STAMP.pack(PLACEHOLDER))

    def stamp(self) -> None:
        """Write the time, and the digest that comes of it."""
        STAMP.pack_into(self.data, self._at, time.time())
        digest = hashlib.sha1(self.body, usedforsecurity=False).digest()
        DIGEST.pack_into(self.data, DIGEST_AT, digest)


class Flood:
    """Pushes books of some codes in turn, in the background."""

    def __init__(self, opend: OpenD) -> None:
        self._opend = opend
        self._task: asyncio.Task[None] | None = None
        self.pushed = 0

    def start(self, codes: list[str], rate: float, seconds: float) -> None:
        """Begin, instead of what was going on before; a rate of 0 is as fast as can be."""
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self._run(codes, rate, seconds))

    async def _run(self, codes: list[str], rate: float, seconds: float) -> None:
        books = [await self._make(code, len(codes)) for code in codes]
        began = time.monotonic()
        done = 0
        while (passed := time.monotonic() - began) < seconds:
            due = int(passed * rate) - done if rate else BATCH
            if rate and due > rate * MAX_LAG:
                done, due = done + due, 0
            anybody = await self._send(codes, books, done, min(due, BATCH))
            done += min(due, BATCH)
            behind = due > BATCH or not rate
            await asyncio.sleep(0 if anybody and behind else TICK)

    async def _make(self, code: str, codes: int) -> list[Stamped]:
        """Make books of a code that move from one to the next."""
        await asyncio.sleep(0)
        random = Random(code)
        middle = random.randint(5_000, 50_000)
        made = []
        for _ in range(max(FEWEST, min(MOST, BODIES // codes))):
            middle += random.choice((-1, 0, 1))
            bids, asks = (
                [
                    [(middle + away * step) / 100, random.randint(1, 9_000), random.randint(1, 99)]
                    for away in range(1, 11)
                ]
                for step in (-1, 1)
            )
            message = response(PUSH_ORDER_BOOK)
            book = {"code": code, "bids": bids, "asks": asks, "time": PLACEHOLDER}
            fill_book(message.s2c, self._opend.store, book, None, detailed=False)
            made.append(Stamped(message.SerializeToString()))
        return made

    async def _send(
        self, codes: list[str], books: list[list[Stamped]], first: int, number: int
    ) -> bool:
        """Push the next books; the answer is whether anybody got any."""
        buffers: dict[Connection, bytearray] = {}
        for at in range(first, first + number):
            turn, which = divmod(at, len(codes))
            receivers = self._opend.receivers((codes[which], SubType.ORDER_BOOK))
            if not receivers:
                continue
            book = books[which][turn % len(books[which])]
            book.stamp()
            self.pushed += 1
            for connection in receivers:
                if connection not in buffers:
                    buffers[connection] = bytearray()
                if connection.encrypts:
                    connection.push(PUSH_ORDER_BOOK, bytes(book.body))
                else:
                    buffers[connection] += book.data
        for connection, buffer in buffers.items():
            connection.write(buffer)
            with contextlib.suppress(OSError):
                await connection.writer.drain()
        return bool(buffers)
