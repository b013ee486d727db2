"""Searches OpenD's lists of securities, which are fetched when they are needed first."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

from bookcast.feeds.futu import calls
from bookcast.feeds.futu.link import Link, Lost, Refused, Unanswered
from bookcast.feeds.futu.markets import MARKETS, symbol_of
from bookcast.model import Security, Symbol, TradingSession

logger = logging.getLogger(__name__)

KEPT_SECONDS: Final = 12 * 3600.0
"""Lists change over night."""

RETRY_SECONDS: Final = 60.0
"""A list that OpenD didn't give is asked for again after this long."""

LIST_SECONDS: Final = 10.0
SEARCH_SECONDS: Final = 2.0
"""No search waits longer for lists."""

SNAPSHOT_SECONDS: Final = 1.0
SLICE: Final = 500
"""So many entries are read before the event loop gets its turn."""

KINDS: Final[tuple[tuple[int, Literal["stock", "fund", "index"]], ...]] = (
    (3, "stock"),
    (4, "fund"),
    (6, "index"),
)
"""``Qot_Common.SecurityType`` of what is searched."""

SEARCHED: Final = ("US", "HK", "SH", "SZ")
"""Where a text that names no market is looked for; a market that a text names is added."""


class _Entry(NamedTuple):
    symbol: Symbol
    name: str
    lot_size: int
    kind: str
    key: str


class _List(NamedTuple):
    again_at: float
    entries: list[_Entry]


class Directory:
    """The securities that OpenD lists, by market."""

    def __init__(self) -> None:
        self._lists: dict[str, _List] = {}
        self._fetching: dict[str, asyncio.Task[None]] = {}

    async def search(
        self,
        opened: Link,
        text: str,
        limit: int,
        session_of: Callable[[Symbol], TradingSession | None],
    ) -> list[Security]:
        """Find securities by code or name: exact codes first, then beginnings, then parts."""
        prefix, dot, _ = text.upper().partition(".")
        markets = (prefix,) if dot and prefix in MARKETS else SEARCHED
        found: list[tuple[int, _Entry]] = []
        wanted = text.upper()
        for looked, entry in enumerate(await self._entries(opened, markets), 1):
            rank = _rank(entry, wanted)
            found += [(rank, entry)] if rank is not None else []
            if looked % SLICE == 0:
                await asyncio.sleep(0)
        found.sort(key=lambda pair: pair[0])  # stable: in the lists' order otherwise
        entries = [entry for _, entry in found[:limit]]
        ticks = await _ticks(opened, [entry.symbol for entry in entries])
        return [
            Security(
                entry.symbol,
                entry.name,
                entry.kind,
                entry.lot_size,
                ticks.get(entry.symbol),
                session_of(entry.symbol),
            )
            for entry in entries
        ]

    async def _entries(self, opened: Link, markets: Sequence[str]) -> list[_Entry]:
        """Give the lists of some markets, as far as they are there within a moment.

        What takes longer is there for the next search.
        """
        now = asyncio.get_running_loop().time()
        for market in markets:
            fetched = self._lists.get(market)
            if (fetched is None or fetched.again_at <= now) and market not in self._fetching:
                task = asyncio.create_task(self._fetch(opened, market))
                self._fetching[market] = task
        if fetching := [self._fetching[m] for m in markets if m in self._fetching]:
            await asyncio.wait(fetching, timeout=SEARCH_SECONDS)
        return [entry for m in markets if m in self._lists for entry in self._lists[m].entries]

    async def _fetch(self, opened: Link, market: str) -> None:
        """Fetch a market's list; one that OpenD doesn't give is asked for again later."""
        entries: list[_Entry] = []
        kept = KEPT_SECONDS
        try:
            for number, kind in KINDS:
                try:
                    call = calls.securities(MARKETS[market], number)
                    answer = await opened.request(call, seconds=LIST_SECONDS)
                except Refused as refusal:
                    logger.debug("no list of the %ss of %s: %s", kind, market, refusal)
                    continue
                entries += await _entries(answer.staticInfoList, kind)
        except (Unanswered, Lost) as error:
            logger.debug("no list of %s: %s", market, error)
            kept = RETRY_SECONDS
        finally:
            del self._fetching[market]
        self._lists[market] = _List(asyncio.get_running_loop().time() + kept, entries)


async def _entries(infos: Any, kind: str) -> list[_Entry]:
    entries = []
    for count, info in enumerate(infos, 1):
        basic = info.basic
        symbol = symbol_of(basic.security)
        if symbol is not None and not basic.delisting:
            key = f"{symbol} {basic.name}".upper()
            entries.append(_Entry(symbol, basic.name, basic.lotSize, kind, key))
        if count % SLICE == 0:
            await asyncio.sleep(0)
    return entries


def _rank(entry: _Entry, wanted: str) -> int | None:
    symbol = entry.symbol.upper()
    code = symbol.partition(".")[2]
    if wanted in {code, symbol}:
        return 0
    if code.startswith(wanted) or symbol.startswith(wanted):
        return 1
    at = entry.key.find(wanted)
    if at < 0:
        return None
    return 2 if at == len(symbol) + 1 or entry.key[at - 1] == " " else 3


async def _ticks(opened: Link, symbols: Iterable[Symbol]) -> dict[Symbol, float]:
    """Ask for the smallest steps of prices, which only snapshots tell."""
    asked = list(symbols)[: calls.MAX_SNAPSHOTS]
    if not asked:
        return {}
    try:
        answer = await opened.request(calls.snapshots(asked), seconds=SNAPSHOT_SECONDS)
    except (Refused, Unanswered, Lost) as error:
        logger.debug("no price steps: %s", error)
        return {}
    return {
        symbol: snapshot.basic.priceSpread
        for snapshot in answer.snapshotList
        if (symbol := symbol_of(snapshot.basic.security)) is not None and snapshot.basic.priceSpread
    }
