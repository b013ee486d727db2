"""The symbols of a feed, and suggestions for symbols that it lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, islice, zip_longest
from typing import Final

from bookcast.model.topics import Symbol

MAX_NAMED: Final = 5
"""At most so many symbols are suggested, or named as examples."""

MAX_OFFERED: Final = 100
"""Examples come from so many symbols, the first ones of each market in turn."""

MAX_REMOVED: Final = 3
MAX_FINE: Final = 1000
"""In longer lists, codes are similar if they match with one letter removed from each, else two."""

MAX_CODE: Final = 12
"""Longer codes are similar only if they differ in letter case alone."""

MAX_SHARING: Final = 16
"""So many symbols are indexed per shortened code, which bounds memory and time."""


class FeedList:
    """The symbols of a feed, in its order. Lists are compared by identity: a changed list is new.

    Args:
        feed: the feed's name.
        symbols: all symbols that it has.
        forms: returns the symbols that a code in another program's form may mean, likeliest first.
    """

    def __init__(
        self,
        feed: str,
        symbols: Sequence[Symbol],
        forms: Callable[[Symbol], Sequence[Symbol]] = lambda _symbol: (),
    ) -> None:
        self.feed = feed
        self.symbols = tuple(symbols)
        self._order = {symbol: number for number, symbol in enumerate(self.symbols)}
        self._forms = forms
        self._removals = 2 if len(self.symbols) <= MAX_FINE else 1
        self._index: dict[str, list[tuple[int, Symbol]]] = {}
        self._offered: tuple[Symbol, ...] = ()

    def __contains__(self, symbol: Symbol) -> bool:
        return symbol in self._order

    def hints(
        self, symbol: Symbol, may_see: Callable[[Symbol], bool]
    ) -> tuple[tuple[Symbol, ...], tuple[Symbol, ...]]:
        """Return suggestions for a symbol that the feed lacks, and examples of symbols it has.

        Both have only symbols that the caller ``may_see``, the likeliest first. The examples begin
        with the suggestions.
        """
        meant = tuple(islice(filter(may_see, self._near(symbol)), MAX_NAMED))
        offered = (one for one in self._leading() if one not in meant and may_see(one))
        return meant, (*meant, *islice(offered, MAX_NAMED - len(meant)))

    def _near(self, symbol: Symbol) -> Iterator[Symbol]:
        """Yield similar symbols, the likeliest first."""
        if not self._index:
            self._fill()
        found: dict[Symbol, int] = {}
        for rest, removed in self._rests(symbol):
            for others, one in self._index.get(rest, ()):
                total = removed + others
                if total <= min(MAX_REMOVED, len(rest)):
                    found[one] = min(total, found.get(one, total))
        market = symbol.partition(".")[0]

        def rank(one: Symbol) -> tuple[int, bool, int]:
            return found[one], one.partition(".")[0] != market, self._order[one]

        forms = [one for one in self._forms(symbol) if one in self]
        yield from dict.fromkeys([*forms, *sorted(found, key=rank)])

    def _fill(self) -> None:
        for symbol in self.symbols:
            for rest, removed in self._rests(symbol):
                sharing = self._index.setdefault(rest, [])
                if len(sharing) < MAX_SHARING:
                    sharing.append((removed, symbol))

    def _rests(self, symbol: Symbol) -> Iterator[tuple[str, int]]:
        """Yield a code with up to two letters removed, and how many were.

        Two similar codes share such a shortened code, so the index finds them without a scan.
        """
        code = symbol.partition(".")[2].casefold()
        yield code, 0
        if len(code) > MAX_CODE:
            return
        for removed in range(1, self._removals + 1):
            rests = combinations(code, len(code) - removed) if len(code) > removed else ()
            for rest in {"".join(letters) for letters in rests}:
                yield rest, removed

    def _leading(self) -> tuple[Symbol, ...]:
        """Return the first symbols of each market, the markets in turn."""
        if not self._offered:
            markets: dict[str, list[Symbol]] = {}
            for symbol in self.symbols:
                markets.setdefault(symbol.partition(".")[0], []).append(symbol)
            turns = zip_longest(*markets.values())
            leading = (one for turn in turns for one in turn if one is not None)
            self._offered = tuple(islice(leading, MAX_OFFERED))
        return self._offered
