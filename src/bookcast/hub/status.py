"""How a topic stands: live, quiet for too long, or cut off from its feed."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from bookcast.model import Update

FRESH_MS: Final = 1000.0
"""What came within this is live, whatever its feed says: it may have come from somebody else."""


class Feed(NamedTuple):
    """The feed that a topic comes from. ``detail`` says what is wrong when it isn't alive."""

    name: str
    alive: bool
    detail: str | None = None


State = Literal["live", "stale", "pending", "halted", "closed", "feed_down"]


class Status(NamedTuple):
    """How a topic stands. ``age_ms`` is that of its newest update, ``source`` names its feed."""

    state: State
    age_ms: float | None = None
    reason: str | None = None
    source: str | None = None


def status_of(
    newest: Update | None, *, now_ms: float, stale_after: float, feed: Feed | None
) -> Status:
    """Judge a topic by its newest update and by whether its feed is alive.

    A quiet market and a dead feed look the same to whoever waits for updates; the feed's own
    heartbeat tells them apart. ``stale_after``: seconds, 0 for never.
    """
    source = feed.name if feed is not None else None
    age_ms = max(0.0, round(now_ms - newest.server_ms, 1)) if newest is not None else None
    if feed is not None and not feed.alive and (age_ms is None or age_ms > FRESH_MS):
        return Status("feed_down", age_ms, feed.detail or "the feed isn't connected", source)
    if age_ms is None:
        return Status("pending", None, "nothing has been published yet", source)
    if stale_after and age_ms > stale_after * 1000:
        quiet = "; the feed is alive, the market is quiet" if feed is not None else ""
        return Status("stale", age_ms, f"no update for {age_ms / 1000:.0f} s{quiet}", source)
    return Status("live", age_ms, None, source)
