"""A node's connection to Redis, as the Redis twins receive it."""

from __future__ import annotations

import msgspec

from bookcast.backplane.breaker import Breaker
from bookcast.backplane.link import Link
from bookcast.backplane.subscriber import Subscriber
from bookcast.backplane.unreadable_log import UnreadableLog


class Backplane(msgspec.Struct, frozen=True):
    """The parts that all Redis twins of a node share.

    Attributes:
        link: calls scripts.
        subscriber: listens on channels.
        breaker: knows whether Redis is away.
        unreadable: counts what other nodes wrote and this one can't read.
    """

    link: Link
    subscriber: Subscriber
    breaker: Breaker
    unreadable: UnreadableLog
