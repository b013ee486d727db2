"""The list of symbols that a feed has: what it lacks, and what may have been meant instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, islice, zip_longest
from typing import Final

from bookcast.model.topics import Symbol

MAX_NAMED: Final = 5
"""So many symbols are named as what the feed has, or as what was meant."""

MAX_OFFERED: Final = 100
"""Whoever may see few symbols is offered those among so many that lead the list's markets."""

MAX_REMOVED: Final = 3
MAX_FINE: Final = 1000
"""Of longer lists, codes are near when one letter of each is removed, else two."""

MAX_CODE: Final = 12
"""Longer codes are near when they are equal but for letter case."""

MAX_SHARING: Final = 16
"""So many symbols of a list are found by what is left of a code; bounds memory and time."""


class FeedList:
    """The symbols of a feed, in its order. Compared by identity: a changed list is another one.

    Args:
        feed: what the feed calls itself.
        symbols: all that it has.
        forms: symbols that one in another program's form may mean, the likeliest first.
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
        """Return what may have been meant by a symbol that isn't here, and some that are.

        Only symbols that somebody ``may_see``; the likeliest first.
        """
        meant = tuple(islice(filter(may_see, self._near(symbol)), MAX_NAMED))
        offered = (one for one in self._leading() if one not in meant and may_see(one))
        return meant, (*meant, *islice(offered, MAX_NAMED - len(meant)))

    def _near(self, symbol: Symbol) -> Iterator[Symbol]:
        """Yield symbols that differ from this one by little."""
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
        """Yield what is left of a code when up to two letters are removed, and how many were.

        What two codes share is what is left of both: so near ones are found without a look at all.
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
        """Return the first symbols of each market in turn."""
        if not self._offered:
            markets: dict[str, list[Symbol]] = {}
            for symbol in self.symbols:
                markets.setdefault(symbol.partition(".")[0], []).append(symbol)
            turns = zip_longest(*markets.values())
            leading = (one for turn in turns for one in turn if one is not None)
            self._offered = tuple(islice(leading, MAX_OFFERED))
        return self._offered
