"""A FastAPI app that runs a bookcast server in the same process.

Run it with ``uvicorn examples.fastapi_app:app``, then ``POST http://localhost:8000/trade?price=190``;
clients watch AAPL at ``ws://localhost:8002/ws/me``.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request

import bookcast


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Serve WebSocket clients for as long as the app runs."""
    async with bookcast.serve(port=int(os.environ.get("WEBSOCKET_PORT", "8002"))) as server:
        app.state.bookcast = server
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/trade")
async def trade(price: float, request: Request) -> dict[str, int]:
    """Publish a book around a price, and return the number of its subscribers."""
    server: bookcast.Server = request.app.state.bookcast
    book: bookcast.BookData = {
        "bids": [[price - 0.01, 100]],
        "asks": [[price + 0.01, 100]],
    }
    published = await server.publish("AAPL", book)
    return {"subscribers": published.subscribers}
