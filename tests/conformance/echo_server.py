"""The production WebSocket with sessions that send back what they get, and without limits.

Run it with a port: ``python -m tests.conformance.echo_server 9001``.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, cast

import msgspec
from websockets.extensions.base import Extension
from websockets.frames import Frame, Opcode

from bookcast import Server, serve
from bookcast.sessions.session import Session
from bookcast.transport.frames import Framer, SharedCompression
from bookcast.transport.websocket import Endpoint, WebSocket

NO_LIMIT: Final = 2**62


def _loops() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if importlib.util.find_spec("uvloop"):
        import uvloop

        return {"uvloop": uvloop.new_event_loop, **loops}
    return loops


LOOPS: Final = _loops()
"""How to make an event loop, the one that the command prefers first."""


def echo_session(framer: Framer, *, deflate: bool) -> type[Session]:
    """Make the class of sessions whose messages go back as they came."""
    compression: list[Extension] = [SharedCompression()] if deflate else []

    class EchoSession(Session):
        __slots__ = ()

        def open(self, _symbols: object) -> None:
            """Begin without a word."""

        def receive(self, data: bytes) -> None:
            """Send a text back."""
            self.outbox.put(framer(data, deflate))

        def receive_binary(self, data: bytes) -> None:
            """Send a binary message back."""
            frame = Frame(Opcode.BINARY, data)
            self.outbox.put(frame.serialize(mask=False, extensions=compression))

    return EchoSession


def echoing(endpoint: Endpoint, **changes: Any) -> Endpoint:
    """Make an endpoint of echo sessions out of the one that a server uses.

    ``changes`` are fields that shall be different, for instance ``max_message_bytes``.
    """
    kinds = {deflate: echo_session(endpoint.framer, deflate=deflate) for deflate in (True, False)}

    def begin(*args: Any, deflate: bool, **keywords: Any) -> Session:
        session = endpoint.begin(*args, deflate=deflate, **keywords)
        # All but what it does with messages, for instance flow control, stays as it is.
        session.__class__ = kinds[deflate]
        return session

    limits = {"max_message_bytes": NO_LIMIT, "max_fragments": NO_LIMIT}
    return msgspec.structs.replace(endpoint, **{**limits, "begin": begin, **changes})


@contextlib.asynccontextmanager
async def echo_server(
    port: int = 0, *, deflate_min_bytes: int = 0, **changes: Any
) -> AsyncIterator[Server]:
    """Run a server as the command does, but for its sessions; see :func:`echoing`."""
    async with serve(port=port, deflate_min_bytes=deflate_min_bytes) as server:
        config = server.parts.http.config
        # The server wires everything as it always does: what is tested is what is shipped.
        shipped = config.ws_protocol_class
        assert shipped is not None

        def upgraded(**given: Any) -> WebSocket:
            websocket = cast("WebSocket", shipped(**given))
            websocket._endpoint = echoing(websocket._endpoint, **changes)
            return websocket

        config.ws_protocol_class = cast("type[asyncio.Protocol]", upgraded)
        yield server


async def main(port: int) -> None:
    """Serve until interrupted."""
    async with echo_server(port) as server:
        sys.stdout.write(f"echoing at {server.ws_url}{{anything}}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with (
        contextlib.suppress(KeyboardInterrupt),
        asyncio.Runner(loop_factory=next(iter(LOOPS.values()))) as runner,
    ):
        runner.run(main(int(sys.argv[1])))
