"""Collects undocumented behaviour of a real OpenD, for ``bookcast doctor --report``.

Some of bookcast's interpretations couldn't be verified without a real OpenD: how it dates candles
of weeks and of hours across a lunch break, which state a stock has overnight, what a first quote
looks like. This module asks OpenD, and records what a developer needs for comparison: labels,
states, rights, versions. Nothing in it names the account or its owner.

Candles must be subscribed before they can be requested. That uses a few units of the quota, which
OpenD frees a minute after the connection has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from bookcast.feeds.futu import calls
from bookcast.feeds.futu.candles import KINDS
from bookcast.feeds.futu.link import Link, Refused, Unanswered
from bookcast.feeds.futu.markets import STATE_FIELDS, TIME_ZONES, symbol_of
from bookcast.feeds.futu.rights import RIGHTS, rights_of
from bookcast.feeds.futu.topics import subtype
from bookcast.model.topics import Symbol, Topic

ANSWER_SECONDS: Final = 3.0
LABELS: Final = 4
"""So many of the newest candles are reported."""

SAMPLES: Final = tuple(
    map(
        Symbol,
        ("US.AAPL", "HK.00700", "SH.600519", "US.ESmain", "HK.HSImain", "US..DJI", "CC.BTCUSD"),
    )
)
"""Securities whose states are requested one by one, since the account may lack rights to some."""

SUBSCRIBED: Final = (Symbol("US.AAPL"), Symbol("HK.00700"))
PERIODS: Final = ("1m", "2h", "4h", "1d", "1w", "1M")


class Reading(NamedTuple):
    """A line of the report: what was requested, and OpenD's answer."""

    what: str
    said: str


async def readings(link: Link) -> list[Reading]:
    """Return all readings of an OpenD. A refusal is a reading too."""
    taken: list[Reading] = []
    for asked, call, read in (
        ("state", calls.global_state(), _states),
        ("rights", calls.user_info(), _rights),
        ("quota", calls.subscriptions(), _quota),
    ):
        taken += await _ask(link, asked, call, read)
    for symbol in SAMPLES:
        taken += await _ask(link, f"market state {symbol}", calls.market_states([symbol]), _state)
    for symbol in SUBSCRIBED:
        taken += await _labels(link, symbol)
        taken += await _trade_types(link, symbol)
    return taken


async def _ask(link: Link, what: str, call: calls.Call, read: Any) -> list[Reading]:
    try:
        answer = await link.request(call, seconds=ANSWER_SECONDS)
    except Refused as refusal:
        return [Reading(what, f"refused: {refusal}")]
    except Unanswered:
        return [Reading(what, "no answer")]
    return [Reading(f"{what} {name}".strip(), said) for name, said in read(answer)]


def _states(s2c: Any) -> Iterator[tuple[str, str]]:
    yield "version", f"{s2c.serverVer}.{s2c.serverBuildNo}"
    zone = ZoneInfo("UTC")
    yield "time", datetime.fromtimestamp(s2c.time, zone).isoformat()
    told = {descriptor.name for descriptor, _ in s2c.ListFields()}
    for market, field in STATE_FIELDS.items():
        yield market, str(getattr(s2c, field)) if field in told else "not told"


def _rights(s2c: Any) -> Iterator[tuple[str, str]]:
    for market, right in sorted(rights_of(s2c).items()):
        yield market, RIGHTS.get(right, str(right))


def _quota(s2c: Any) -> Iterator[tuple[str, str]]:
    for field in ("totalUsedQuota", "remainQuota", "optionUsedQuota", "optionRemainQuota"):
        yield field, str(getattr(s2c, field)) if s2c.HasField(field) else "not told"


def _state(s2c: Any) -> Iterator[tuple[str, str]]:
    for info in s2c.marketInfoList:
        yield "", f"{info.marketState} ({symbol_of(info.security)})"


async def _labels(link: Link, symbol: Symbol) -> list[Reading]:
    """Return the labels of the newest candles of each period, as text and as time."""
    taken: list[Reading] = []
    zone = ZoneInfo(TIME_ZONES.get(symbol.partition(".")[0], "Asia/Hong_Kong"))

    def read(s2c: Any) -> Iterator[tuple[str, str]]:
        for line in s2c.klList:
            at = datetime.fromtimestamp(line.timestamp, zone).isoformat()
            yield "", f"{line.time} | {at}" + (" | blank" if line.isBlank else "")

    for period in PERIODS:
        what = f"candle {symbol} {period}"
        kind = subtype(Topic("candles", symbol, period))
        refused = await _ask(link, what, calls.subscribe([symbol], kind), lambda _: iter(()))
        taken += refused
        if not refused:
            taken += await _ask(link, what, calls.candles(symbol, KINDS[period], LABELS), read)
    return taken


async def _trade_types(link: Link, symbol: Symbol) -> list[Reading]:
    """Return the numbers of the newest trades by type and sign, and nothing else of them."""
    what = f"trade types {symbol}"

    def read(s2c: Any) -> Iterator[tuple[str, str]]:
        kinds = Counter((ticker.type, ticker.typeSign) for ticker in s2c.tickerList)
        for (kind, sign), count in sorted(kinds.items()):
            yield "", f"type {kind} sign {sign}: {count}"

    kind = subtype(Topic("trades", symbol))
    refused = await _ask(link, what, calls.subscribe([symbol], kind), lambda _: iter(()))
    return refused or await _ask(link, what, calls.trades(symbol, calls.MAX_PAST), read)
