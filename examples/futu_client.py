"""Publish what OpenD pushes to a callback of futu-api, to a bookcast server somewhere else.

    python examples/futu_client.py HK.00700 --host 127.0.0.1 --port 11111 --url ws://localhost:8002

For a program that has a quote context already. If you only want Futu's books on your screens, you
need none of this: ``bookcast serve --feed futu``.
"""

import argparse
import asyncio
from concurrent.futures import Future
from typing import Any

import futu

import bookcast
from bookcast.client import BookcastClientError, Client, LineStatus, Position


class Books(futu.OrderBookHandlerBase):  # type: ignore[misc] # futu-api has no types
    """Publishes each pushed book as it is; its code is the symbol."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client

    def on_recv_rsp(self, rsp_pb: Any) -> tuple[int, Any]:
        """Hand a book over; futu-api calls this on a thread of its own."""
        code, book = super().on_recv_rsp(rsp_pb)
        self.client.publish_threadsafe(None, book).add_done_callback(report)
        return code, book


def report(published: "Future[Position]") -> None:
    """Print what became of a book; futu-api would swallow an exception in its callback."""
    error = published.exception()
    print(f"not published: {error}" if error else f"published {published.result().seq}", flush=True)


def tell(status: LineStatus) -> None:
    """Print how the connection to bookcast stands."""
    print(f"connection: {status.state} {status.reason or ''}".rstrip(), flush=True)


async def main(code: str, host: str, port: int, url: str) -> None:
    """Publish the books of one symbol."""
    async with bookcast.client.connect(url) as client:
        client.on_state(tell)
        context = await asyncio.to_thread(futu.OpenQuoteContext, host, port)
        context.set_handler(Books(client))
        await asyncio.to_thread(context.subscribe, [code], [futu.SubType.ORDER_BOOK])
        print("subscribed", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("code", nargs="?", default="HK.00700")
    parser.add_argument("--host", default="127.0.0.1", help="of OpenD")
    parser.add_argument("--port", type=int, default=11111, help="of OpenD")
    parser.add_argument("--url", default="ws://localhost:8002", help="of bookcast")
    options = parser.parse_args()
    try:
        asyncio.run(main(options.code, options.host, options.port, options.url))
    except KeyboardInterrupt:
        pass
    except (ValueError, BookcastClientError) as problem:
        raise SystemExit(str(problem)) from None
