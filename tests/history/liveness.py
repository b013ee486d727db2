"""Whether connected clients receive what is published, while nothing is broken."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec

from tests.history.follow import is_ours
from tests.history.history import LOCAL, History, Track

PATIENCE = 3.0
"""So long a connected client may hear nothing of what is published all the time."""

RECOVERY = 2.0
"""So long after a fault silence is excused."""

Span = tuple[float, float]

_decode = msgspec.json.Decoder().decode


def silences(history: History) -> Iterator[tuple[Track, str, Span]]:
    """Yield each silence that nothing explains: the client's track, the topic, the time span.

    Those that read slowly on purpose don't count, nor what a feed publishes when it likes.
    """
    published: dict[str, list[float]] = defaultdict(list)
    for attempt in history.attempts:
        if (
            attempt.outcome == "ok"
            and is_ours(attempt.topic)
            and not attempt.epoch.startswith(LOCAL)  # those are for the clients of one node
        ):
            published[attempt.topic].append(attempt.began)
    for times in published.values():
        times.sort()
    # A node that is gone takes its clients' connections with it; all else leaves them as they are.
    broken = sorted(
        (fault.at, fault.until + RECOVERY)
        for fault in history.faults
        if fault.what not in {"node killed", "worker killed", "node drained"}
    )
    for track in history.tracks:
        if "slow" in track.name:
            continue
        for topic, spans in _quiet(track).items():
            for span in spans:
                for since, until in without(span, broken):
                    if until - since > PATIENCE and _any(published[topic], since, until - PATIENCE):
                        yield track, topic, (since, until)


def _quiet(track: Track) -> dict[str, list[Span]]:
    """Return the spans in which a client was connected but received nothing of a topic."""
    quiet: dict[str, list[Span]] = {topic: [] for topic in track.topics}
    heard_at: dict[str, float] = {}
    first = True
    for event in track.events:
        match event.what:
            case "opened":
                # A base client that reconnects isn't notified if its session is lost.
                known = first or track.protocol == "v1"
                heard_at = dict.fromkeys(track.topics, event.at) if known else {}
                first = False
            case "lost" | "stopped":
                for topic, since in heard_at.items():
                    quiet[topic].append((since, event.at))
                heard_at = {}
            case "heard":
                message = _decode(event.message)
                topic = f"{message.get('channel', 'orderbook')}:{message.get('symbol')}"
                _follow_subscriptions(heard_at, topic, message, event.at)
                if topic in quiet and ("data" in message or message["type"] == "gap"):
                    quiet[topic].append((heard_at.get(topic, event.at), event.at))
                    heard_at[topic] = event.at
    return {
        topic: [span for span in spans if span[1] - span[0] > PATIENCE]
        for topic, spans in quiet.items()
    }


def _follow_subscriptions(heard_at: dict[str, float], topic: str, message: Any, at: float) -> None:
    """Take out what a client's right has ended, until it is subscribed again."""
    match message["type"]:
        case "resumed":
            restored = {f"{one['channel']}:{one['symbol']}" for one in message["restored"]}
            for one in set(heard_at) - restored:
                del heard_at[one]
        case "error" if message.get("code") == "forbidden":
            heard_at.pop(topic, None)
        case "subscription_confirmed":
            heard_at[topic] = at


def without(span: Span, others: list[Span]) -> Iterator[Span]:
    """Yield the parts of a span that no other span covers; the others are sorted."""
    since, until = span
    for other_since, other_until in others:
        if other_since > since:
            yield since, min(until, other_since)
        since = max(since, other_until)
        if since >= until:
            return
    yield since, until


def _any(times: list[float], since: float, until: float) -> bool:
    at = bisect.bisect_left(times, since)
    return at < len(times) and times[at] < until
