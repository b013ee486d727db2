"""A Redis to break, and nodes that notice sooner than they would."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bookcast.engine import leadership
from bookcast.engine import redis as engine_module
from tests.engine.nodes import TIMEOUT, EngineNode, nodes
from tests.fakes.redis_server import RedisServer


@pytest.fixture
def quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what happens in seconds happen sooner."""
    monkeypatch.setattr(engine_module, "PULSE_SECONDS", 0.1)
    monkeypatch.setattr(leadership, "LOCK_MS", 800)
    monkeypatch.setattr(leadership, "RENEW_SECONDS", 0.1)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """Give a Redis to break."""
    with RedisServer(tmp_path) as running:
        yield running


@pytest.fixture
async def two(server: RedisServer) -> AsyncIterator[list[EngineNode]]:
    """Give two nodes; the first has the feed."""
    async with nodes(server.url, "one", "two", patience=TIMEOUT) as running:
        yield running
