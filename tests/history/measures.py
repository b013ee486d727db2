"""A history in numbers: delays, and how long clients were without data."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from tests.history.history import Fault, History, Track

_decode = msgspec.json.Decoder().decode
DATA = frozenset({"orderbook_update", "orderbook_delta", "trade", "candle_update"})


NOTICED_SECONDS = 6.0
"""So long after a fault a connection may be lost because of it: clients wait 4 s for a word."""


class Outage(msgspec.Struct, frozen=True):
    """A client's outage after the loss of its node. ``noticed``: seconds until the loss.

    ``without``: from then until it got data again, apart from its own waits (``waited``); None: it
    never did, although something was published after the loss.
    """

    client: str
    fault: Fault
    noticed: float
    without: float | None
    waited: float


def outages(history: History, kinds: Sequence[str] = ("node killed",)) -> list[Outage]:
    """Return the outages that clients of lost nodes went through.

    A client that kept its connection until the run stopped it, or something else broke, lost
    nothing by the fault. One that lost it after the last publication has nothing to wait for.
    """
    published = [one.ended for one in history.attempts if one.outcome == "ok"]
    last = max(published, default=0.0)
    return [
        outage
        for fault in history.faults
        if fault.what in kinds
        for track in history.tracks
        if (outage := _outage(track, fault, last)) is not None
    ]


def _outage(track: Track, fault: Fault, last: float) -> Outage | None:
    node, lost_at, waited = "", None, 0.0
    for event in track.events:
        if event.at < fault.at:
            node = event.node if event.what in {"opened", "heard", "said"} else ""
            continue
        if node != fault.node:
            return None
        if lost_at is None:
            if event.at > fault.until + NOTICED_SECONDS:
                return None
            if event.what == "lost":
                lost_at = event.at
            continue
        if event.what == "waits":
            waited += event.seconds
        if event.what == "heard" and _decode(event.message)["type"] in DATA:
            without = event.at - lost_at - waited
            return Outage(track.name, fault, lost_at - fault.at, without, waited)
    if lost_at is None or lost_at >= last:
        return None
    return Outage(track.name, fault, lost_at - fault.at, None, waited)


def delays(history: History) -> list[float]:
    """Return the delay of each acknowledged publication to each client, sorted.

    Those that read slowly on purpose don't count.
    """
    began: dict[tuple[str, str], float] = {
        (one.topic, one.id or str(one.number)): one.began
        for one in history.attempts
        if one.outcome == "ok"
    }
    found = []
    for track in history.tracks:
        if "slow" in track.name:
            continue
        for event in track.events:
            if event.what != "heard":
                continue
            message = _decode(event.message)
            found += [event.at - began[name] for name in _names(message) if name in began]
    return sorted(found)


def _names(message: Any) -> list[tuple[str, str]]:
    match message["type"]:
        case "trade":
            topic = f"trades:{message['symbol']}"
            return [(topic, str(trade.get("id"))) for trade in message["data"]["trades"]]
        case "candle_update":
            return [(f"candles:{message['symbol']}", str(message["data"]["volume"]))]
        case "orderbook_update" if "n" in message["data"]:
            return [(f"orderbook:{message['symbol']}", str(message["data"]["n"]))]
    return []


def longest_silence(history: History, symbol: str, since: float, until: float) -> float:
    """Return the longest time in which no client received anything of a symbol."""
    times = sorted(
        event.at
        for track in history.tracks
        for event in track.events
        if event.what == "heard"
        and since <= event.at <= until
        and symbol.encode() in bytes(event.message)
        and _decode(event.message)["type"] in DATA
    )
    edges = [since, *times, until]
    return max(later - earlier for earlier, later in itertools.pairwise(edges))


def counts(history: History) -> dict[str, Any]:
    """Count what happened."""
    heard: Counter[str] = Counter()
    happened: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    for track in history.tracks:
        for event in track.events:
            happened[event.what] += 1
            if event.what == "heard":
                heard[_decode(event.message)["type"]] += 1
            elif event.what == "lost":
                codes[event.detail[:60]] += 1
    return {
        "messages": sum(heard.values()),
        "heard": dict(heard.most_common()),
        "clients": dict(happened.most_common()),
        "connections lost": dict(codes.most_common()),
        "publications": dict(Counter(one.outcome for one in history.attempts)),
        "not published": dict(
            Counter(one.detail[:70] for one in history.attempts if one.outcome != "ok").most_common(
                8
            )
        ),
    }


def percentile(values: Sequence[float], part: float) -> float:
    """Return a percentile of sorted values."""
    return values[min(len(values) - 1, int(len(values) * part))] if values else float("nan")
