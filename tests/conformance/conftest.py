"""What the tests of the WebSocket protocol share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.conformance.echo_server import echo_server
from tests.conformance.wire import Wire, connection
from tests.conftest import LOOPS

LIMIT = 64 * 1024
"""The largest message that these tests' server takes."""

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"


@pytest.fixture(params=LOOPS, scope="module")
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Run these on every loop: transports differ."""
    return LOOPS[request.param]


# Starting and stopping one takes longer than most tests.
@pytest.fixture(scope="module")
async def port(anyio_backend: object) -> AsyncIterator[int]:
    """Serve echoes of messages up to :data:`LIMIT`."""
    async with echo_server(max_message_bytes=LIMIT) as server:
        yield server.port


@pytest.fixture
async def wire(port: int) -> AsyncIterator[Wire]:
    """Connect without an extension."""
    async with connection(port) as wire:
        yield wire


@pytest.fixture
async def deflating(port: int) -> AsyncIterator[Wire]:
    """Connect with compression."""
    async with connection(port, DEFLATE) as wire:
        yield wire
