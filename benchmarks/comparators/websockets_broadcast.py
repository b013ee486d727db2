"""The `websockets` library's asyncio server with its broadcast(): python websockets_broadcast.py PORT

A connection to /publish… is a publisher. Each of its messages is sent unchanged to all other
connections, which is the least that a server can do.
"""

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve

try:  # what bookcast runs on
    from uvloop import run
except ImportError:
    from asyncio import run

clients: set[ServerConnection] = set()


async def handle(connection: ServerConnection) -> None:
    """Serve one connection."""
    if connection.request.path.startswith("/publish"):
        async for message in connection:
            broadcast(clients, message)
        return
    clients.add(connection)
    try:
        await connection.wait_closed()
    finally:
        clients.discard(connection)


async def main() -> None:
    """Serve until killed."""
    async with serve(handle, "127.0.0.1", int(sys.argv[1])):
        await asyncio.get_running_loop().create_future()


run(main())
