"""Makes the backend that the settings name."""

from __future__ import annotations

from collections.abc import Callable

from bookcast.backend.base import Backend
from bookcast.backend.memory import MemoryBackend
from bookcast.backend.redis import RedisBackend, RedisTimes
from bookcast.backplane.link import LinkSettings
from bookcast.cluster.members.base import Node
from bookcast.engine.redis.engine import RedisRules
from bookcast.model.log import LogRules
from bookcast.settings import Settings


def backend_of(
    settings: Settings, myself: Callable[[], Node], times: RedisTimes | None = None
) -> Backend:
    """Make the backend: in Redis where there is one, else in memory.

    ``myself`` tells what this node says of itself; ``times`` how often it does what in Redis.
    """
    shares = settings.redis_url is not None and settings.shares_redis
    logs = LogRules(
        history_size=settings.history_size,
        queue_size=settings.session_queue_size,
        # Another node's client may come here, and need those from before it came.
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
