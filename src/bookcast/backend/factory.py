"""Makes the backend that the settings choose."""

from __future__ import annotations

from collections.abc import Callable

from bookcast.backend.base import Backend
from bookcast.backend.memory import MemoryBackend
from bookcast.backend.redis import RedisBackend, RedisTimes
from bookcast.backplane.link import LinkSettings
from bookcast.cluster.members.base import Node
from bookcast.engine.redis.engine import RedisRules
from bookcast.model.topic_log import LogRules
from bookcast.settings import Settings


def backend_of(
    settings: Settings, myself: Callable[[], Node], times: RedisTimes | None = None
) -> Backend:
    """Return the backend: in Redis if the settings name one to share, else in memory.

    ``myself`` returns the description of this node; ``times``: the intervals for Redis.
    """
    shares = settings.redis_url is not None and settings.shares_redis
    logs = LogRules(
        history_size=settings.history_size,
        queue_size=settings.session_queue_size,
        # A client of another node may come to this one, and need books from before it came.
        keeps_books=settings.session_queue == "all" and shares,
    )
    if settings.redis_url is None or not shares:
        return MemoryBackend(myself=myself, rules=logs)
    return RedisBackend(
        LinkSettings(
            settings.redis_url,
            settings.redis_timeout,
            settings.redis_max_connections,
            settings.redis_ca_file,
            settings.redis_prefix,
        ),
        myself=myself,
        rules=RedisRules(
            history_size=max(
                settings.history_size, settings.session_queue_size if logs.keeps_books else 0
            ),
            logs=logs,
            local=settings.engine_down_publish == "local",
        ),
        session_ttl=settings.session_ttl,
        times=times,
    )
