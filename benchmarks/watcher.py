"""A program that keeps a book with bookcast.client: python benchmarks/watcher.py URL SEQ

It watches until it has the number SEQ, and prints what the deltas before that took: CPU seconds of
its process, wall-clock seconds, and whether it ever had to ask for a whole book again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time

import bookcast.client


class Resyncs(logging.Handler):
    """Counts how often a delta didn't follow, or wasn't proven."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """See a decision of the client's."""
        self.count += "doesn't follow" in record.getMessage()


async def watch(url: str, last: int) -> dict[str, float]:
    """Iterate over the book until its number is there."""
    async with bookcast.client.connect(url) as client:
        book = client.order_book("US.AAPL", depth=10)
        await book.next()
        first = book.seq
        cpu, began, seen = time.process_time(), time.perf_counter(), 0
        async for _ in book:
            seen += 1
            if book.seq == last:
                break
        return {
            "deltas": last - first,
            "seen": seen,
            "cpu": time.process_time() - cpu,
            "seconds": time.perf_counter() - began,
        }


if __name__ == "__main__":
    resyncs = Resyncs()
    logging.getLogger("bookcast.client").addHandler(resyncs)
    logging.getLogger("bookcast.client").setLevel(logging.DEBUG)
    print(
        json.dumps({**asyncio.run(watch(sys.argv[1], int(sys.argv[2]))), "broken": resyncs.count})
    )
