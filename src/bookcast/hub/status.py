"""How a topic stands: live, quiet for too long, waited for, not traded, or cut off."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal, NamedTuple

from bookcast.model.feed_state import FeedState, Quota
from bookcast.model.symbol_list import FeedList
from bookcast.model.topics import Symbol
from bookcast.model.updates import PublisherGone, Update

FRESH_MS: Final = 1000.0
"""What came within this is live, whatever its feed says: it may have come from somebody else."""

_TOLD_REASONS: Final = frozenset({"live", "pending", "halted", "closed"})
"""States whose reason is news when it changes. That of others contains times, or is a retry's."""

State = Literal["live", "stale", "pending", "halted", "closed", "feed_down"]


class Status(NamedTuple):
    """How a topic stands. ``age_ms`` is that of its newest update; the rest is a feed's word.

    ``lacking``: the feed's list, where that lacks the symbol and nobody has published the topic.
    """

    state: State
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
        """What of it is worth telling when it changes: ages and times left always do.

        That there is a time left, and an end of the wait, is news.
        """
        quota = self.quota
        if quota is not None and quota.next_free_ms is not None:
            quota = quota._replace(next_free_ms=0)
        reason = self.reason if self.state in _TOLD_REASONS else None
        return _shared((self.state, self.source, self.every_ms, quota, reason, self.lacking))

    @property
    def goes_without_saying(self) -> bool:
        """Whether a newcomer may take it for granted."""
        return self.state == "live" and self.every_ms is None and self.reason is None


@lru_cache(maxsize=1024)  # each subscription keeps what it was told last
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
    """Judge a topic by its newest update and by what its feed says; None: it has no feed.

    ``gone``: who published something is gone; that counts if nobody has published since.

    A quiet market and a dead feed look the same to whoever waits for updates; the feed tells them
    apart. ``stale_after``: seconds, 0 for never.
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
    # What a feed asks for again and again is always fresh, and says nothing.
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
    # What is fresh needs no excuse, unless it is how the feed gets it.
    return status if supply.state == "live" else status._replace(reason=None, quota=None)
