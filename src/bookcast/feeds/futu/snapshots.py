"""Plans requests for snapshots, for symbols that OpenD doesn't push. Does no I/O.

OpenD allows 60 such requests in 30 s, of up to 400 symbols each (20 with Hong Kong's BMP right). It
refuses a whole request because of a single symbol that it doesn't supply. So new symbols are
*tried*: a refused trial is halved until the refused symbol is found. If two trials in a row are
refused that were larger than any successful one, the market's other trials become smaller too,
since the size may be the reason.

Symbols that OpenD supplied are polled together, in batches. The size of batches is learnt for each
market. When a batch is refused that is larger than any successful one, the size is halved. When a
smaller one is refused, one of its symbols is the reason, and its symbols are tried again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from typing import Final

from bookcast.feeds.futu.calls import MAX_SNAPSHOTS
from bookcast.model.topics import Symbol

WINDOW_SECONDS: Final = 30.0
MAX_REQUESTS: Final = 50
"""The maximum number of requests in a window. OpenD allows 60, but other programs may use some."""

MAX_TRIES: Final = 10
"""Once OpenD supplies any symbol, at most so many of them are refused trials."""

FASTEST_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 120.0
"""A refused symbol is tried again after so many seconds."""

Batch = tuple[Symbol, ...]


class SnapshotPlanner:
    """Decides which symbols to request next. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._wanted: dict[Symbol, None] = {}
        self._given: dict[Symbol, None] = {}
        self._failed: dict[Symbol, float] = {}
        self._trials: deque[Batch] = deque()
        # Per market: the size of trials. It is reset when there are new symbols.
        self._tries: dict[str, int] = {}
        # Markets whose last trial was refused, perhaps because it was too large.
        self._doubtful: set[str] = set()
        # Per market: the maximum size of a batch, and the largest successful size.
        self._limits: dict[str, int] = {}
        self._passed: dict[str, int] = {}
        self._asked: deque[float] = deque()
        self._tried: deque[float] = deque()
        self._batches: list[Batch] = []
        self._due: dict[Symbol, float] = {}

    @property
    def every_seconds(self) -> float:
        """The interval at which each symbol is polled."""
        room = MAX_REQUESTS - MAX_TRIES
        return max(FASTEST_SECONDS, len(self._batches) * WINDOW_SECONDS / room)

    @property
    def given(self) -> Collection[Symbol]:
        """The wanted symbols whose snapshots OpenD supplies."""
        return self._given.keys()

    def gives(self, symbol: Symbol) -> bool:
        """Return whether OpenD supplies snapshots of a wanted symbol."""
        return symbol in self._given

    def want(self, symbols: Collection[Symbol], now: float = 0.0) -> None:
        """Set the symbols to poll from now on."""
        wanted = dict.fromkeys(symbols)
        if wanted.keys() == self._wanted.keys():
            return
        new = [s for s in wanted if s not in self._wanted and s not in self._failed]
        self._wanted = wanted
        self._failed = {s: at for s, at in self._failed.items() if s in wanted or at > now}
        self._given = {symbol: None for symbol in self._given if symbol in wanted}
        self._trials = deque(
            left for trial in self._trials if (left := tuple(s for s in trial if s in wanted))
        )
        for market in {_market(symbol) for symbol in new}:
            self._tries.pop(market, None)
            self._doubtful.discard(market)
        self._trials.extend(self._batches_of(new))
        self._regroup()

    def next_request(self, now: float) -> Batch:
        """Return the symbols to request now; empty while none is due."""
        _forget(self._asked, now)
        _forget(self._tried, now)
        if len(self._asked) >= MAX_REQUESTS:
            return ()
        if (not self._given or len(self._tried) < MAX_TRIES) and (trial := self._next_trial(now)):
            self._asked.append(now)
            self._tried.append(now)
            return trial
        for batch in self._batches:
            due = self._due.get(batch[0], now)
            if due <= now:
                # The next time counts from the due time, so that delays don't add up.
                every = self.every_seconds
                self._due[batch[0]] = max(due + every, now + every / 2)
                self._asked.append(now)
                return batch
        return ()

    def done(self, symbols: Sequence[Symbol]) -> None:
        """Note that OpenD supplied these symbols."""
        for market in {_market(symbol) for symbol in symbols}:
            self._passed[market] = max(self._passed.get(market, 0), len(symbols))
            self._doubtful.discard(market)
        new = [s for s in symbols if s in self._wanted and s not in self._given]
        if new:
            self._given.update(dict.fromkeys(new))
            self._regroup()
            if self._tried:
                self._tried.pop()  # a successful trial doesn't count against MAX_TRIES
        for symbol in new:
            self._failed.pop(symbol, None)

    def unanswered(self, symbols: Sequence[Symbol]) -> None:
        """Note that OpenD didn't answer. New symbols are tried again."""
        if any(symbol not in self._given for symbol in symbols):
            self._trials.append(tuple(symbols))

    def refused(self, symbols: Sequence[Symbol], now: float) -> None:
        """Note that OpenD refused a request: it was too large, or one symbol is the reason."""
        size = len(symbols)
        if size == 1:
            self._failed[symbols[0]] = now + RETRY_SECONDS
            self._drop(symbols)
            return
        market = _market(symbols[0])
        passed = self._passed.get(market, 0)
        if all(symbol in self._given for symbol in symbols) and size > passed:
            self._limits[market] = max(passed, size // 2)
            self._regroup()
            return
        if size > passed and market in self._doubtful:
            self._tries[market] = size // 2
            self._doubtful.discard(market)
        elif size > passed:
            self._doubtful.add(market)
        self._drop(symbols)
        self._trials.append(tuple(symbols[: size // 2]))
        self._trials.append(tuple(symbols[size // 2 :]))

    def _drop(self, symbols: Collection[Symbol]) -> None:
        if not self._given.keys().isdisjoint(symbols):
            self._given = {s: None for s in self._given if s not in symbols}
            self._regroup()

    def _next_trial(self, now: float) -> Batch:
        while self._trials:
            trial = tuple(s for s in self._trials.popleft() if s not in self._given)
            if not trial:
                continue
            market = _market(trial[0])
            size = max(self._tries.get(market, MAX_SNAPSHOTS), self._passed.get(market, 0))
            if len(trial) > size:
                self._trials.append(trial[size:])
            return trial[:size]
        failed = [s for s in self._wanted if self._failed.get(s, now + 1) <= now]
        if not failed:
            return ()
        first = min(failed, key=self._failed.__getitem__)
        self._failed[first] = now + RETRY_SECONDS
        return (first,)

    def _regroup(self) -> None:
        self._batches = list(self._batches_of(self._given))
        firsts = {batch[0] for batch in self._batches}
        self._due = {symbol: due for symbol, due in self._due.items() if symbol in firsts}

    def _batches_of(self, symbols: Collection[Symbol]) -> list[Batch]:
        """Divide symbols into requests of one market each, within its size."""
        markets: dict[str, list[Symbol]] = {}
        for symbol in symbols:
            markets.setdefault(_market(symbol), []).append(symbol)
        batches = []
        for market, members in markets.items():
            size = self._limits.get(market, MAX_SNAPSHOTS)
            batches += [tuple(members[at : at + size]) for at in range(0, len(members), size)]
        return batches


def _market(symbol: Symbol) -> str:
    return symbol.partition(".")[0]


def _forget(times: deque[float], now: float) -> None:
    """Remove times that are older than OpenD's window."""
    while times and times[0] <= now - WINDOW_SECONDS:
        times.popleft()
