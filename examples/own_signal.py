"""Publish a signal of your own beside the market's data: how much heavier the bids are.

    python examples/own_signal.py US.AAPL --url ws://localhost:8002

Others see it as the quote of ``MY.US.AAPL.IMBALANCE``, from -1 (only asks) to 1 (only bids).
"""

import argparse
import asyncio

import bookcast


def imbalance(book: bookcast.client.Book) -> float:
    """Return how much heavier the bids of a book are than its asks."""
    bids, asks = (sum(level.size for level in side) for side in (book.bids, book.asks))
    return (bids - asks) / (bids + asks) if bids + asks else 0.0


async def main(symbol: str, url: str) -> None:
    """Publish the signal with each change of the book, at most ten times a second."""
    async with bookcast.client.connect(url) as client:
        book = client.order_book(symbol, depth=5, interval_ms=100)
        async for newest in book:
            if book.state == "live":
                signal = round(imbalance(newest), 4)
                name = f"MY.{symbol}.IMBALANCE"
                await client.publish(name, {"last": signal}, channel="quote", wait=5)
                print(f"{name} {signal:+.4f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("symbol", nargs="?", default="US.AAPL")
    parser.add_argument("--url", default="ws://localhost:8002")
    options = parser.parse_args()
    asyncio.run(main(options.symbol, options.url))
