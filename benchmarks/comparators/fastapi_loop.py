"""The simplest server: FastAPI, a set of clients, and a loop: python fastapi_loop.py PORT"""

import sys
from datetime import UTC, datetime
from typing import Any

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()
clients: set[WebSocket] = set()


@app.websocket("/ws/{client_id}")
async def subscribe(socket: WebSocket, client_id: str) -> None:
    """Serve one client."""
    await socket.accept()
    clients.add(socket)
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        clients.discard(socket)


@app.post("/broadcast/orderbook")
async def publish(symbol: str, book: dict[str, Any]) -> dict[str, str]:
    """Send a book to all clients, one after the other."""
    message = {
        "type": "orderbook_update",
        "symbol": symbol,
        "data": book,
        "timestamp": datetime.now(UTC).isoformat(),
    }
    for socket in list(clients):
        await socket.send_json(message)
    return {"status": "ok"}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
