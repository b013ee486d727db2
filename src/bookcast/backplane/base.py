"""A node's way to Redis, as everything that stands on it is given it."""

from __future__ import annotations

import msgspec

from bookcast.backplane.breaker import Breaker
from bookcast.backplane.link import Link
from bookcast.backplane.subscriber import Subscriber
from bookcast.backplane.unreadable import UnreadableLog


class Backplane(msgspec.Struct, frozen=True):
    """What all Redis twins of a node share.

    Attributes:
        link: calls scripts.
        subscriber: listens on channels.
        breaker: whether Redis is there.
        unreadable: is told what another node wrote and this one can't read.
    """

    link: Link
    subscriber: Subscriber
    breaker: Breaker
    unreadable: UnreadableLog
