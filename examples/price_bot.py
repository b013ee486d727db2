"""Wait for a price, whatever happens to the server meanwhile.

    python examples/price_bot.py US.AAPL --above 200 --url ws://localhost:8002

Each trade is looked at, once and in order; also those of the time while the server was gone, as far
as it still has them. It ends with the first one that is high enough.
"""

import argparse
import asyncio

import bookcast
from bookcast.client import BookcastClientError, LineStatus, Trade


def tell(status: LineStatus) -> None:
    """Print how the connection stands."""
    print(f"connection: {status.state} {status.reason or ''}".rstrip(), flush=True)


async def wait_for(symbol: str, price: float, url: str) -> Trade:
    """Return the first trade at a price, or above it."""
    async with bookcast.client.connect(url) as client:
        client.on_state(tell)
        async for message in client.trades(symbol, history=1):
            if message.gap is not None:
                print(f"some trades are missing: {message.gap.reason}", flush=True)
            for trade in message.trades:
                print(f"{symbol} at {trade.price}", flush=True)
                if trade.price >= price:
                    return trade
        raise RuntimeError("the client was closed")  # by nobody here


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("symbol", nargs="?", default="US.AAPL")
    parser.add_argument("--above", type=float, required=True, help="the price to wait for")
    parser.add_argument("--url", default="ws://localhost:8002", help="of bookcast")
    options = parser.parse_args()
    try:
        found = asyncio.run(wait_for(options.symbol, options.above, options.url))
        print(f"there it is: {found.size} at {found.price}")
    except KeyboardInterrupt:
        pass
    except (ValueError, BookcastClientError) as problem:
        raise SystemExit(str(problem)) from None
