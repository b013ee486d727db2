"""Stands for the source while you build: sends a book of each subscribed symbol, again and again.

``python -m feed_template.source`` listens on port 9009. Tests run it as well. Replace it by a
simulation of your source that speaks its real protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

INTERVAL = 0.05
"""Seconds between two books of a symbol."""


@asynccontextmanager
async def source(port: int = 0) -> AsyncIterator[int]:
    """Run the source, and return its port."""
    async with await asyncio.start_server(_serve, "127.0.0.1", port) as server:
        yield server.sockets[0].getsockname()[1]


async def _serve(lines: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    wanted: set[str] = set()
    sending = asyncio.create_task(_send(wanted, writer))
    try:
        while line := await lines.readline():
            asked = msgspec.json.decode(line, type=dict[str, str])
            wanted.update(asked.get("subscribe", "").split())
            wanted.difference_update(asked.get("unsubscribe", "").split())
    finally:
        sending.cancel()
        writer.close()


async def _send(wanted: set[str], writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        for size in itertools.count(1):
            for symbol in sorted(wanted):
                now = round(time.time() * 1000)
                book = {"bids": [[99.5, size]], "asks": [[100.5, size]]}
                writer.write(msgspec.json.encode({"symbol": symbol, "time": now, **book}) + b"\n")
            await writer.drain()
            await asyncio.sleep(INTERVAL)


async def main() -> None:
    """Run until it is interrupted."""
    async with source(int(sys.argv[1]) if sys.argv[1:] else 9009) as port:
        print(f"the source listens on port {port}")
        await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
