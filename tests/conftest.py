"""What all tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bookcast import Server, serve
from bookcast.testing import bookcast_server

__all__ = ["bookcast_server"]


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, which is what the server runs on."""
    return "asyncio"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Give a server on a free port in the test's own event loop, without a feed."""
    async with serve(port=0) as running:
        yield running
