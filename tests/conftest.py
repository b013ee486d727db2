"""What all tests share."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec

import pytest

from bookcast import Server, serve
from bookcast.testing import bookcast_server

__all__ = ["bookcast_server"]


LOOPS: dict[str, tuple[str, dict[str, bool]]] = {
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "asyncio": ("asyncio", {"use_uvloop": False}),
}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """Run async tests on the loop that the command prefers where the platform has it."""
    return LOOPS["uvloop" if find_spec("uvloop") else "asyncio"]


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Undo what a test that runs the command does to the process's logging."""
    root, ours = logging.getLogger(), logging.getLogger("bookcast")
    before = (root.handlers, root.level, ours.level)
    yield
    root.handlers, root.level = before[0], before[1]
    ours.setLevel(before[2])


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Give a server on a free port in the test's own event loop, without a feed."""
    async with serve(port=0) as running:
        yield running
