"""The status of a topic: live, stale, pending, halted, closed or feed_down."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from bookcast.model.feed_state import FeedState, Quota, TopicState
from bookcast.model.symbol_list import FeedList
from bookcast.model.topics import Symbol
from bookcast.model.updates import PublisherGone, Update

FRESH_MS: Final = 1000.0
"""A topic with an update this new is live, whatever its feed says: others may publish it."""

_NOTIFY_REASON_STATES: Final = frozenset({"live", "pending", "halted", "closed"})
"""States in which a new reason is sent. Other reasons contain times, or change with each retry."""


class Status(NamedTuple):
    """The status of a topic.

    ``age_ms`` is the age of its newest update. ``reason``, ``source``, ``every_ms``, ``quota``,
    ``refusal`` and ``did_you_mean`` come from the feed.

    ``lacking``: the feed's symbol list, if the symbol is missing from it and the topic has no data.
    """

    state: TopicState
    age_ms: float | None = None
    reason: str | None = None
    source: str | None = None
    every_ms: float | None = None
    quota: Quota | None = None
    refusal: str | None = None
    did_you_mean: tuple[Symbol, ...] = ()
    lacking: FeedList | None = None

    @property
    def news(self) -> tuple[object, ...]:
        """The part of the status whose changes subscribers are notified of.

        Ages and remaining times change all the time, so they aren't part of it. Whether there is a
        remaining time at all is.
        """
        quota = self.quota
        if quota is not None and quota.next_free_ms is not None:
            quota = quota._replace(next_free_ms=0)
        reason = self.reason if self.state in _NOTIFY_REASON_STATES else None
        return _shared((self.state, self.source, self.every_ms, quota, reason, self.lacking))

    @property
    def goes_without_saying(self) -> bool:
        """Whether a new subscriber needs no status message, because this is the usual one."""
        return self.state == "live" and self.every_ms is None and self.reason is None


@lru_cache(maxsize=1024)  # many subscriptions keep an equal tuple: share one
def _shared(news: tuple[object, ...]) -> tuple[object, ...]:
    return news


def status_of(
    newest: Update | None,
    *,
    now_ms: float,
    stale_after: float,
    supply: FeedState | None,
    gone: PublisherGone | None = None,
) -> Status:
    """Return a topic's status, from its newest update and its feed's state.

    An idle market and a dead feed look the same to a subscriber; the feed's state tells them apart.

    Args:
        newest: the newest update; None: there is none.
        now_ms: the time now, milliseconds since 1970.
        stale_after: seconds without an update until the topic is stale; 0: never.
        supply: the topic's state at its feed; None: no feed has it.
        gone: set if a publisher is gone. It counts only if that publisher's update is the newest.
    """
    age_ms = max(0.0, round(now_ms - newest.server_ms, 1)) if newest is not None else None
    fresh = age_ms is not None and age_ms <= FRESH_MS
    if supply is None or (supply.only_published and newest is not None):
        supply = FeedState("")
    status = Status(
        "live",
        age_ms,
        supply.reason,
        supply.source or None,
        supply.every_ms,
        supply.quota,
        supply.refusal,
        supply.did_you_mean,
    )
    # Data that the feed polls are always fresh, so their age says nothing.
    fresh = fresh and supply.every_ms is None
    if supply.state == "halted" or (supply.state != "live" and not fresh):
        return status._replace(state=supply.state)
    if gone is not None and newest is not None and newest.position == gone.position:
        return status._replace(state="stale", reason=gone.reason)
    if age_ms is None:
        return status._replace(state="pending", reason="nothing has been published yet")
    if stale_after and age_ms > stale_after * 1000:
        quiet = "; the feed is alive, the market is quiet" if supply.source else ""
        return status._replace(state="stale", reason=f"no update for {age_ms / 1000:.0f} s{quiet}")
    # A fresh topic needs no reason, unless the feed's own state is live.
    return status if supply.state == "live" else status._replace(reason=None, quota=None)
