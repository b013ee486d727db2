"""How often the engine compares itself with Redis, and how long it waits for messages."""

from __future__ import annotations

from typing import ClassVar

from bookcast.timing import Times


class EngineTimes(Times, frozen=True, kw_only=True):
    """The intervals of the Redis engine, in seconds.

    Attributes:
        audit: how often Redis's positions are compared with this node's.
        arrival: how long an update that Redis has may still be on its way to this node.
        grace: how long the publishing node waits before it publishes a lost state again. Nodes that
            follow the topic do so first, within one audit.
        linger: how long a topic is followed after nothing wants it any more.
    """

    LONGER: ClassVar = (("grace", 1, "audit"),)

    audit: float = 2.0
    arrival: float = 0.25
    grace: float = 2.5
    linger: float = 10.0
