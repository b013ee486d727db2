"""What all tests share."""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, settings

from bookcast import Server, serve
from bookcast.testing import bookcast_server
from tests.budget import examples
from tests.fakes.redis_server import RedisServer
from tests.markers import (
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_ignore_collect,
    pytest_runtest_call,
)
from tests.support import missing

__all__ = [
    "bookcast_server",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_ignore_collect",
    "pytest_runtest_call",
]


# No test fails because the machine is busy.
settings.register_profile(
    "untimed",
    settings(),
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("untimed")

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


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Run a Redis for all tests of this process, which leave it as they found it."""
    if shutil.which("redis-server") is None:
        missing("no redis-server on the PATH: install it to test with Redis")
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """Give the URL of a Redis with nothing in it."""
    redis_server.cli("FLUSHALL")
    return redis_server.url
