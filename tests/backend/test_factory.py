"""The backend that the settings name."""

from __future__ import annotations

from typing import Any

import pytest

from bookcast.backend.factory import backend_of
from bookcast.backend.memory import MemoryBackend
from bookcast.backend.redis import RedisBackend
from bookcast.cluster.members.base import Node
from bookcast.engine.redis.engine import RedisRules
from bookcast.model.topic_log import LogRules
from bookcast.sessions.store.memory import MemorySessionStore
from bookcast.sessions.store.redis import RedisSessionStore
from bookcast.settings import Settings

NODE = Node("node", "group")


def redis_backend(**given: Any) -> RedisBackend:
    settings = Settings(redis_url="redis://:p@host:7000/1", **given)
    backend = backend_of(settings, lambda: NODE)
    assert isinstance(backend, RedisBackend)
    return backend


@pytest.mark.parametrize("url", [None, "memory:"])
def test_without_redis_it_is_in_memory(url: str | None) -> None:
    """Nothing is shared."""
    backend = backend_of(Settings(redis_url=url), lambda: NODE)
    assert isinstance(backend, MemoryBackend)
    assert isinstance(backend.sessions, MemorySessionStore)
    assert backend.cluster.members.living == {}


def test_with_redis_it_is_there() -> None:
    """As the settings say; making it connects to nothing."""
    backend = redis_backend(
        redis_timeout=0.25,
        redis_max_connections=3,
        redis_ca_file="/ca.pem",
        redis_prefix="mine",
        history_size=50,
        session_ttl=7,
    )
    settings = backend._plane.link._settings
    assert (settings.url, settings.timeout, settings.max_connections, settings.ca_file) == (
        "redis://:p@host:7000/1",
        0.25,
        3,
        "/ca.pem",
    )
    assert backend._plane.link.keys.nodes.startswith("mine@1:")
    assert backend.engine._rules == RedisRules(50, LogRules(50))
    assert isinstance(backend.sessions, RedisSessionStore)
    assert backend.sessions._records._ttl == 7
    assert not isinstance(redis_backend(session_ttl=0).sessions, RedisSessionStore)
    assert backend.cluster.members.id == "node"


def test_queues_of_sessions_need_a_history_that_is_long_enough() -> None:
    """Of books, too."""
    rules = redis_backend(history_size=50, session_queue="all", session_queue_size=80).engine._rules
    assert (rules.logs, rules.history_size) == (LogRules(50, 80, keeps_books=True), 80)


def test_what_is_published_while_redis_is_away_is_a_setting() -> None:
    """Refused, or kept on this node."""
    assert not redis_backend().engine._rules.local
    assert redis_backend(engine_down_publish="local").engine._rules.local
