"""Publish from a callback of futu-api, which runs on a thread of the vendor's package.

This is for a program that has a quote context already. If you only want Futu's books on your
screens, you don't need it: use ``bookcast serve --feed futu``.
"""

import asyncio
from concurrent.futures import Future
from typing import Any

import futu

import bookcast


class Books(futu.OrderBookHandlerBase):  # type: ignore[misc] # futu-api has no types
    """Publishes each pushed book to the server."""

    def __init__(self, server: bookcast.Server) -> None:
        super().__init__()
        self._server = server

    def on_recv_rsp(self, rsp_pb: Any) -> tuple[int, Any]:
        """Publish a book unchanged. Its code is the symbol."""
        code, book = super().on_recv_rsp(rsp_pb)
        if code == futu.RET_OK:
            published = self._server.publish_threadsafe(None, book)
            published.add_done_callback(report)
        return code, book


def report(published: "Future[bookcast.Published]") -> None:
    """Print why a book was refused. futu-api would swallow an exception in its callback."""
    if (error := published.exception()) is not None:
        print("not published:", error)


async def main() -> None:
    """Serve the books of one symbol."""
    async with bookcast.serve(port=8002) as server:
        context = await asyncio.to_thread(futu.OpenQuoteContext, "127.0.0.1", 11111)
        context.set_handler(Books(server))
        await asyncio.to_thread(context.subscribe, ["HK.00700"], [futu.SubType.ORDER_BOOK])
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
