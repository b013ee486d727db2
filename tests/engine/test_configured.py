"""The engine that the settings name."""

from __future__ import annotations

from typing import Any

import pytest

from bookcast.engine.configured import engine_of
from bookcast.engine.memory import MemoryEngine
from bookcast.engine.peers import Node
from bookcast.engine.redis import RedisEngine, RedisRules
from bookcast.model.log import LogRules
from bookcast.settings import Settings

NODE = Node("node", "group")


def redis_engine(**given: Any) -> RedisEngine:
    settings = Settings(redis_url="redis://:p@host:7000/1", **given)
    engine = engine_of(settings, lambda: NODE)
    assert isinstance(engine, RedisEngine)
    return engine


@pytest.mark.parametrize("url", [None, "memory:"])
def test_without_redis_it_is_in_memory(url: str | None) -> None:
    """Nothing is shared."""
    engine = engine_of(Settings(redis_url=url), lambda: NODE)
    assert isinstance(engine, MemoryEngine)
    assert engine.shared is None


def test_with_redis_it_is_there() -> None:
    """As the settings say; making it connects to nothing."""
    engine = redis_engine(
        redis_timeout=0.25,
        redis_max_connections=3,
        redis_ca_file="/ca.pem",
        redis_prefix="mine",
        history_size=50,
        session_ttl=7,
    )
    settings = engine._link._settings
    assert (settings.url, settings.timeout, settings.max_connections, settings.ca_file) == (
        "redis://:p@host:7000/1",
        0.25,
        3,
        "/ca.pem",
    )
    assert engine._link.keys.nodes.startswith("mine@1:")
    assert engine._rules == RedisRules(50, LogRules(50), session_ttl=7)
    assert engine.shared is not None
    assert engine.shared.peers.id == "node"


def test_queues_of_sessions_need_a_history_that_is_long_enough() -> None:
    """Of books, too."""
    rules = redis_engine(history_size=50, session_queue="all", session_queue_size=80)._rules
    assert (rules.logs, rules.history_size) == (LogRules(50, 80, keeps_books=True), 80)


def test_what_is_published_while_redis_is_away_is_a_setting() -> None:
    """Refused, or kept on this node."""
    assert not redis_engine()._rules.local
    assert redis_engine(engine_down_publish="local")._rules.local
