"""Publish a signal of your own beside the market's data: how much heavier the bids are.

    python examples/own_signal.py US.AAPL --url ws://localhost:8002

Others see it as the quote of ``MY.US.AAPL.IMBALANCE``, from -1 (only asks) to 1 (only bids).
"""

import argparse
import asyncio

import bookcast
from bookcast.client import BookcastClientError, LineStatus


def imbalance(book: bookcast.client.Book) -> float:
    """Return how much heavier the bids of a book are than its asks."""
    bids, asks = (sum(level.size for level in side) for side in (book.bids, book.asks))
    return (bids - asks) / (bids + asks) if bids + asks else 0.0


def tell(status: LineStatus) -> None:
    """Print how the connection stands."""
    print(f"connection: {status.state} {status.reason or ''}".rstrip(), flush=True)


async def main(symbol: str, url: str) -> None:
    """Publish the signal with each change of the book, at most ten times a second."""
    async with bookcast.client.connect(url) as client:
        client.on_state(tell)
        book = client.order_book(symbol, depth=5, interval_ms=100)
        async for newest in book:
            if book.state == "live":
                signal = round(imbalance(newest), 4)
                name = f"MY.{symbol}.IMBALANCE"
                try:
                    await client.publish(name, {"last": signal}, channel="quote", wait=5)
                except BookcastClientError as problem:
                    if problem.final:
                        raise
                    print(f"not published: {problem}", flush=True)
                else:
                    print(f"{name} {signal:+.4f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("symbol", nargs="?", default="US.AAPL")
    parser.add_argument("--url", default="ws://localhost:8002", help="of bookcast")
    options = parser.parse_args()
    try:
        asyncio.run(main(options.symbol, options.url))
    except KeyboardInterrupt:
        pass
    except (ValueError, BookcastClientError) as problem:
        raise SystemExit(str(problem)) from None
