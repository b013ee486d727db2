"""Searches OpenD's lists of securities, which are fetched when they are needed first.

Options and cryptocurrencies are in none: OpenD is asked for one of them by its code.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from bookcast.errors import InvalidInput
from bookcast.feeds.futu import calls
from bookcast.feeds.futu.link import Link, Lost, Refused, Unanswered
from bookcast.feeds.futu.markets import MARKETS, symbol_of
from bookcast.feeds.futu.symbol_hints import hints
from bookcast.model.feed_state import Security
from bookcast.model.market_data import TradingSession
from bookcast.model.numbers import Number, whole
from bookcast.model.topics import FUTURES_OF_HK, Symbol, parse_symbol

logger = logging.getLogger(__name__)

SLICE: Final = 500
"""So many entries are read before the event loop gets its turn."""

KINDS: Final[Mapping[int, str]] = {
    3: "stock",
    4: "fund",
    6: "index",
    10: "future",
    5: "warrant",
    8: "option",
    12: "crypto",
}
"""``Qot_Common.SecurityType`` of what is found, in the order in which it is shown."""

EVERYWHERE: Final = (3, 4, 6)
LISTED: Final[Mapping[str, tuple[int, ...]]] = {
    "HK": (*EVERYWHERE, 10, 5),
    **dict.fromkeys(("US", "SG", "JP"), (*EVERYWHERE, 10)),
}
"""The kinds that a market has lists of, where there are more than those of EVERYWHERE."""

SEARCHED: Final = ("US", "HK", "SH", "SZ", "SG", "JP")
"""Where a text that names no market is looked for; one that names a market is looked for there."""

UNLISTED: Final = re.compile(r"CC\..+|(US|HK)\..+[0-9]{6}[CP][0-9]+")
"""Symbols of cryptocurrencies and options."""

LOOKUP_WINDOW: Final = 30.0
MAX_LOOKUPS: Final = 20
"""So many codes are asked for in a window: somebody who types asks with every letter."""

MAX_KNOWN: Final = 1000
"""So many answers about single codes are kept."""


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
        # What OpenD said of single codes, None where it has no such code.
        self._known: dict[Symbol, _Entry | None] = {}
        self._asked: deque[float] = deque()

    async def search(
        self,
        opened: Link,
        text: str,
        limit: int,
        session_of: Callable[[Symbol], TradingSession | None],
    ) -> list[Security]:
        """Find securities by code or name: exact codes first, then beginnings, then parts."""
        wanted = text.upper()
        if wanted.startswith(f"{FUTURES_OF_HK}."):
            wanted = wanted.replace(FUTURES_OF_HK, "HK", 1)
        prefix, dot, _ = wanted.partition(".")
        markets = (prefix,) if dot and prefix in MARKETS else SEARCHED
        found = [(0, entry) for entry in await self._unlisted(opened, text)]
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
                entry.kind or None,
                entry.lot_size,
                ticks.get(entry.symbol),
                session_of(entry.symbol),
            )
            for entry in entries
        ]

    async def _entries(self, opened: Link, markets: Sequence[str]) -> list[_Entry]:
        """Return the lists of some markets, those that arrive within a moment.

        A list that takes longer is there for the next search.
        """
        now = asyncio.get_running_loop().time()
        for market in markets:
            fetched = self._lists.get(market)
            if (fetched is None or fetched.again_at <= now) and market not in self._fetching:
                task = asyncio.create_task(self._fetch(opened, market))
                self._fetching[market] = task
        if fetching := [self._fetching[m] for m in markets if m in self._fetching]:
            await asyncio.wait(fetching, timeout=opened.times.search_seconds)
        return [entry for m in markets if m in self._lists for entry in self._lists[m].entries]

    async def _fetch(self, opened: Link, market: str) -> None:
        """Fetch a market's list; one that OpenD doesn't give is asked for again later."""
        entries: list[_Entry] = []
        kept = opened.times.lists_seconds
        if market not in self._lists:
            # What is there already is found while longer lists are still on their way.
            self._lists[market] = _List(0.0, entries)
        try:
            for number in LISTED.get(market, EVERYWHERE):
                try:
                    call = calls.securities(MARKETS[market], number)
                    answer = await opened.request(call, seconds=opened.times.list_seconds)
                except Refused as refusal:
                    logger.debug("no list of the %ss of %s: %s", KINDS[number], market, refusal)
                    continue
                entries += await _entries(answer.staticInfoList)
        except (Unanswered, Lost) as error:
            logger.debug("no list of %s: %s", market, error)
            kept = opened.times.lists_retry_seconds
        finally:
            del self._fetching[market]
        self._lists[market] = _List(asyncio.get_running_loop().time() + kept, entries)

    async def _unlisted(self, opened: Link, text: str) -> list[_Entry]:
        """Ask for the option or cryptocurrency that a text may be the code of."""
        entries = []
        for symbol in _unlisted_symbols(text):
            if symbol not in self._known:
                await self._look_up(opened, symbol)
            if (entry := self._known.get(symbol)) is not None:
                entries.append(entry)
        return entries

    async def _look_up(self, opened: Link, symbol: Symbol) -> None:
        now = asyncio.get_running_loop().time()
        while self._asked and self._asked[0] <= now - LOOKUP_WINDOW:
            self._asked.popleft()
        if len(self._asked) >= MAX_LOOKUPS:
            return
        self._asked.append(now)
        found: list[_Entry] = []
        try:
            call = calls.security(symbol)
            answer = await opened.request(call, seconds=opened.times.lookup_seconds)
            found = await _entries(answer.staticInfoList)
        except Refused as refusal:
            logger.debug("no %s: %s", symbol, refusal)
        except (Unanswered, Lost) as error:
            logger.debug("nothing is known of %s: %s", symbol, error)
            return
        if len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[symbol] = next((entry for entry in found if entry.symbol == symbol), None)


def _unlisted_symbols(text: str) -> list[Symbol]:
    """Return the options and cryptocurrencies that a text may mean, in whatever form."""
    meant: dict[Symbol, None] = {}
    for market in ("US", "HK"):
        try:
            symbol = parse_symbol(text.upper(), market)
        except InvalidInput:
            continue
        meant |= dict.fromkeys([symbol, *hints(symbol)])
    return [symbol for symbol in meant if UNLISTED.fullmatch(symbol)]


async def _entries(infos: Any) -> list[_Entry]:
    entries = []
    for count, info in enumerate(infos, 1):
        basic = info.basic
        symbol = symbol_of(basic.security)
        if symbol is not None and not basic.delisting:
            key = f"{symbol} {basic.name}".upper()
            kind = KINDS.get(basic.secType, "")
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


async def _ticks(opened: Link, symbols: Iterable[Symbol]) -> dict[Symbol, Number]:
    """Ask for the smallest steps of prices, which only snapshots tell."""
    asked = list(symbols)[: calls.MAX_SNAPSHOTS]
    if not asked:
        return {}
    try:
        call = calls.snapshots(asked)
        answer = await opened.request(call, seconds=opened.times.lookup_seconds)
    except (Refused, Unanswered, Lost) as error:
        logger.debug("no price steps: %s", error)
        return {}
    return {
        symbol: whole(snapshot.basic.priceSpread)
        for snapshot in answer.snapshotList
        if (symbol := symbol_of(snapshot.basic.security)) is not None and snapshot.basic.priceSpread
    }
