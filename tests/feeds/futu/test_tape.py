from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bookcast.feeds.futu.schema import messages
from bookcast.feeds.futu.tape import MAX_BACKFILL, MAX_WAITING, REMEMBERED, Tape
from bookcast.model.market_data import Trade, Trades
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication
from tests.budget import examples
from tests.support import TRADES

REALTIME, BY_DISCONNECTION, CACHE = 1, 2, 3
SECONDS = 1_700_000_000.25
RECEIVED = 1_700_000_001_000.0


def ticker(sequence: int, **more: Any) -> Any:
    """Make a trade of OpenD's."""
    fields = {
        "time": "",
        "sequence": sequence,
        "dir": 1,
        "price": 100.5,
        "volume": 10,
        "turnover": 1005.0,
        "pushDataType": REALTIME,
        "timestamp": SECONDS,
        **more,
    }
    return messages("Qot_Common").Ticker(**fields)


def tickers(*sequences: int, **more: Any) -> list[Any]:
    return [ticker(sequence, **more) for sequence in sequences]


def shown(publications: list[Publication]) -> list[tuple[Any, ...]]:
    """Give the numbers of each publication's trades, and ``backfill`` and ``breaks`` where set."""
    found = []
    for publication in publications:
        assert publication.topic == TRADES
        assert isinstance(publication.data, Trades)
        marks = [mark for mark in ("backfill", "breaks") if getattr(publication, mark)]
        found.append((*(trade.id for trade in publication.data.trades), *marks))
    return found


def trades_of(publications: list[Publication]) -> list[Trade]:
    found: list[Trade] = []
    for publication in publications:
        assert isinstance(publication.data, Trades)
        found += publication.data.trades
    return found


def live(*known: int) -> Tape:
    """Make a tape that has published these trades."""
    tape = Tape(TRADES)
    tape.begin()
    tape.fill((), RECEIVED)
    tape.push(tickers(*known), RECEIVED)
    return tape


def test_trades_that_come_together_are_published_together() -> None:
    """With the time of the last one, and whole prices as whole numbers."""
    tape = live()
    pushed = [ticker(1), ticker(2, dir=2, price=101.0, timestamp=SECONDS + 1)]
    first = Trade(100.5, 10, "buy", 1_700_000_000_250, 1, turnover=1005)
    second = Trade(101, 10, "sell", 1_700_000_001_250, 2, turnover=1005)
    assert tape.push(pushed, RECEIVED) == [
        Publication(TRADES, Trades((first, second)), 1_700_000_001_250, RECEIVED)
    ]
    assert type(second.price) is int


def test_a_trade_comes_once() -> None:
    """Though OpenD sends some again, in the same push or a later one."""
    tape = live(1, 2)
    assert shown(tape.push(tickers(1, 2, 3, 3), RECEIVED)) == [(3,)]
    assert tape.push(tickers(1, 2, 3), RECEIVED) == []


def test_trades_are_known_for_long() -> None:
    """OpenD never sends again as many as are remembered."""
    count = REMEMBERED + 1000
    tape = live()
    tape.push(tickers(*range(count)), RECEIVED)
    again = range(count - REMEMBERED, count)
    assert tape.push(tickers(*again), RECEIVED) == []


@pytest.mark.parametrize(
    ("direction", "side"), [(1, "buy"), (2, "sell"), (3, "neutral"), (0, "neutral")]
)
def test_the_side_is_who_took_liquidity(direction: int, side: str) -> None:
    """As far as OpenD knows."""
    assert trades_of(live().push([ticker(1, dir=direction)], RECEIVED))[0].side == side


@pytest.mark.parametrize(
    ("kind", "symbol", "condition", "updates"),
    [
        (0, "US.AAPL", None, True),
        (1, "US.AAPL", None, True),
        (99, "US.AAPL", None, True),
        (24, "US.AAPL", "average_price", False),
        (21, "US.AAPL", "form_t", False),
        (10, "US.AAPL", "cross_market", True),
        (6, "HK.00700", "odd_lot", False),
        (2, "HK.00700", "late", False),
        (7, "HK.00700", "auction", True),
        (8, "SH.600519", "bulk", False),
    ],
)
def test_a_trade_carries_its_condition(
    kind: int, symbol: str, condition: str | None, updates: bool
) -> None:
    """And whether it moves the last price of its market."""
    tape = Tape(Topic("trades", Symbol(symbol)))
    [trade] = trades_of(tape.push([ticker(1, type=kind, typeSign=0)], RECEIVED))
    assert (trade.condition, trade.updates_last, trade.condition_sign) == (condition, updates, 0)


def test_a_trade_without_a_type_is_a_usual_one() -> None:
    """What OpenD leaves out is absent."""
    [trade] = trades_of(live().push([ticker(1, turnover=None)], RECEIVED))
    assert (trade.condition, trade.condition_sign, trade.turnover) == (None, None, None)
    assert msgspec.json.encode(trade).endswith(b'"id":1}')


def test_what_opend_lost_meanwhile_is_marked_as_a_backfill() -> None:
    """OpenD sends it when it has its own servers back."""
    tape = live(1)
    pushed = tickers(1, 2, 3, pushDataType=BY_DISCONNECTION)
    assert [trade.backfill for trade in trades_of(tape.push(pushed, RECEIVED))] == [True, True]
    assert not trades_of(tape.push(tickers(4), RECEIVED))[0].backfill


def test_as_many_as_opend_sends_at_most_may_not_be_all() -> None:
    """Unless the last one known is among them, it may have lost more."""
    many = range(2, MAX_BACKFILL + 2)
    lost = live(1).push(tickers(*many, pushDataType=BY_DISCONNECTION), RECEIVED)
    assert [publication.breaks for publication in lost] == [True]
    assert len(trades_of(lost)) == MAX_BACKFILL
    known = live(1, 2).push(tickers(*many, pushDataType=BY_DISCONNECTION), RECEIVED)
    assert [publication.breaks for publication in known] == [False]
    pushed = live(1).push(tickers(*many), RECEIVED)
    assert [publication.breaks for publication in pushed] == [False]


@pytest.mark.parametrize(
    "fields",
    [
        {"volume": 0},
        {"volume": -1},
        {"price": float("nan")},
        {"price": float("inf")},
        {"price": 2.0**53},
        {"hpVolume": float("nan")},
        {"hpVolume": float("inf")},
    ],
)
def test_what_is_no_trade_is_left_out(fields: dict[str, Any]) -> None:
    """Nothing without a size, and no number that JSON can't hold."""
    tape = live()
    assert tape.push([ticker(1, **fields)], RECEIVED) == []
    assert shown(tape.push([ticker(2, **fields), ticker(3)], RECEIVED)) == [(3,)]


def test_the_precise_size_counts_where_there_is_one() -> None:
    """Of crypto and fractional shares."""
    pushed = [ticker(1, volume=0, hpVolume=0.125), ticker(2, hpVolume=3.0)]
    sizes = [trade.size for trade in trades_of(live().push(pushed, RECEIVED))]
    assert sizes == [0.125, 3]
    assert [type(size) for size in sizes] == [float, int]


def test_a_trade_without_a_time_has_that_of_its_arrival() -> None:
    """Else that of its text counts, in the market's own time."""
    untimed = ticker(1, timestamp=0.0)
    written = ticker(2, timestamp=0.0, time="2024-01-02 09:30:00.500")
    times = [trade.timestamp for trade in trades_of(live().push([untimed, written], RECEIVED))]
    assert times == [RECEIVED, 1_704_205_800_500]


def test_a_number_that_readers_of_json_would_round_becomes_text() -> None:
    """So that it still tells trades apart."""
    ids = [t.id for t in trades_of(live().push(tickers(2**53 - 1, 2**53, -(2**60)), RECEIVED))]
    assert ids == [2**53 - 1, str(2**53), str(-(2**60))]


def test_what_was_before_anybody_asked_is_past() -> None:
    """One by one, since they are history for those who want it; what is pushed follows."""
    tape = Tape(TRADES)
    tape.begin()
    assert tape.push(tickers(2, 3, pushDataType=CACHE), RECEIVED) == []
    assert tape.push(tickers(4), RECEIVED) == []
    published = tape.fill(tickers(1, 2, 3), RECEIVED)
    assert shown(published) == [(1, "backfill"), (2, "backfill"), (3, "backfill"), (4,)]
    assert [trade.backfill for trade in trades_of(published)] == [True, True, True, False]


def test_what_is_no_trade_is_not_past_either() -> None:
    """It holds nothing."""
    tape = Tape(TRADES)
    tape.begin()
    assert shown(tape.fill([ticker(1, volume=0), ticker(2)], RECEIVED)) == [(2, "backfill")]


def test_without_an_answer_the_trades_that_opend_had_kept_are_past() -> None:
    """They come with the beginning of a subscription."""
    tape = Tape(TRADES)
    tape.begin()
    tape.push(tickers(1, 2, pushDataType=CACHE), RECEIVED)
    tape.push(tickers(3), RECEIVED)
    assert shown(tape.fill((), RECEIVED)) == [(1, "backfill"), (2, "backfill"), (3,)]


def test_a_trade_pushed_as_it_happened_is_not_past() -> None:
    """Even if the answer that tells of the past has it too: somebody was listening."""
    tape = Tape(TRADES)
    tape.begin()
    tape.push(tickers(3), RECEIVED)
    published = tape.fill(tickers(1, 2, 3), RECEIVED)
    assert shown(published) == [(1, "backfill"), (2, "backfill"), (3,)]
    assert not trades_of(published)[-1].backfill


def test_trades_after_a_subscription_without_any_are_not_past() -> None:
    """Somebody has listened since, though the connection was lost when they happened."""
    tape = Tape(TRADES)
    tape.begin()
    tape.fill(tickers(), RECEIVED)
    tape.begin()
    published = tape.fill(tickers(1, 2), RECEIVED)
    assert trades_of(published)
    assert not any(publication.backfill for publication in published)


def test_what_happened_while_the_connection_was_lost_is_filled_in() -> None:
    """Nothing is missing when one of the newest trades is known."""
    tape = live(1, 2)
    tape.begin()
    assert tape.push(tickers(5), RECEIVED) == []
    published = tape.fill(tickers(2, 3, 4, 5), RECEIVED)
    assert shown(published) == [(3, 4, 5)]
    assert all(trade.backfill for trade in trades_of(published)[:2])
    assert shown(tape.push(tickers(6), RECEIVED)) == [(6,)]


def test_when_too_much_was_missed_the_next_begins_anew() -> None:
    """None of the newest is known, so there may have been more."""
    tape = live(1, 2)
    tape.begin()
    tape.push(tickers(9), RECEIVED)
    assert shown(tape.fill(tickers(7, 8), RECEIVED)) == [(7, 8, "breaks"), (9,)]


def test_what_is_older_than_the_first_known_trade_does_not_come_late() -> None:
    """The first answer never came; the second one has the trades of the whole day."""
    tape = Tape(TRADES)
    tape.begin()
    tape.push(tickers(5, 6, pushDataType=CACHE), RECEIVED)
    assert shown(tape.fill((), RECEIVED)) == [(5, "backfill"), (6, "backfill")]
    tape.begin()
    assert shown(tape.fill(tickers(*range(1, 8)), RECEIVED)) == [(7,)]


def test_what_is_known_to_be_missing_does_not_come_late() -> None:
    """A new epoch has begun behind it."""
    tape = live(1)
    tape.begin()
    tape.push(tickers(3), RECEIVED)
    assert shown(tape.fill((), RECEIVED)) == [(3, "breaks")]
    tape.begin()
    assert shown(tape.fill(tickers(1, 2, 3, 4), RECEIVED)) == [(4,)]


def test_without_an_answer_what_is_pushed_next_begins_anew() -> None:
    """And only the first of it."""
    tape = live(1)
    tape.begin()
    assert tape.fill((), RECEIVED) == []
    assert tape.push([ticker(2, volume=0)], RECEIVED) == []
    assert shown(tape.push(tickers(3), RECEIVED)) == [(3, "breaks")]
    assert shown(tape.push(tickers(4), RECEIVED)) == [(4,)]


def test_what_waited_is_published_with_its_own_time_of_arrival() -> None:
    """Waiting for the past makes it no younger."""
    tape = live(1)
    tape.begin()
    tape.push(tickers(2), RECEIVED)
    [published] = tape.fill(tickers(1), RECEIVED + 500)
    assert published.feed_ms == RECEIVED


def test_what_was_given_up_makes_the_next_begin_anew() -> None:
    """The engine is told that something is missing."""
    tape = live(1)
    tape.push(tickers(2), RECEIVED)
    tape.lose()
    assert shown(tape.push(tickers(3), RECEIVED)) == [(3, "breaks")]
    assert shown(tape.push(tickers(4), RECEIVED)) == [(4,)]


def test_what_was_given_up_is_not_forgotten_when_the_connection_is_lost() -> None:
    """OpenD's newest trades bring it back, or the next begins anew."""
    tape = live(1)
    tape.push(tickers(2), RECEIVED)
    tape.lose()
    tape.begin()
    published = shown(tape.fill(tickers(1, 2, 3), RECEIVED))
    assert published in ([(3, "breaks")], [(2, 3)])


def test_when_too_many_wait_for_the_past_the_next_begins_anew() -> None:
    """The oldest of them were dropped, unless the answer has them."""
    tape = live(0)
    tape.begin()
    count = MAX_WAITING + 10
    for sequence in range(1, count + 1):
        tape.push(tickers(sequence), RECEIVED)
    published = tape.fill(tickers(0), RECEIVED)
    assert len(trades_of(published)) >= MAX_WAITING - 1
    assert published[0].breaks or [t.id for t in trades_of(published)] == [*range(1, count + 1)]


class Market:
    """An OpenD with one symbol, and a feed that listens to it more or less well."""

    KEPT = 6
    """So many of the newest trades OpenD gives when asked, and all that it has pushed since."""

    def __init__(self) -> None:
        self.tape = Tape(TRADES)
        self.numbers = itertools.count(100, 7)
        self.happened: list[int] = []
        self.pushed = 0
        self.connected = self.filling = False
        self.delivered: list[tuple[int, bool]] = []
        self.given_up: set[int] = set()
        self.engine_is_slow = False

    def trade(self, count: int) -> None:
        new = list(itertools.islice(self.numbers, count))
        self.happened += new
        self.pushed += count
        if self.connected:
            self._deliver(self.tape.push(tickers(*new), RECEIVED))

    def subscribe(self, cached: int) -> None:
        """Begin, be pushed what OpenD has kept, and ask for the newest."""
        if self.filling:
            return  # the answer is still on its way
        self.tape.begin()
        self.pushed = cached
        self.connected = self.filling = True
        if cached:
            kept = tickers(*self.happened[-cached:], pushDataType=CACHE)
            self._deliver(self.tape.push(kept, RECEIVED))

    def answer(self, *, answers: bool) -> None:
        if not self.filling:
            return
        self.filling = False
        newest = self.happened[-max(self.KEPT, self.pushed) :]
        asked = tickers(*newest) if answers and self.connected else ()
        self._deliver(self.tape.fill(asked, RECEIVED))

    def lose_connection(self) -> None:
        self.connected = False
        self.answer(answers=False)  # the subscriber sees to it, even then

    def repeat(self, count: int) -> None:
        """Send the last ones again, as OpenD does when it had lost its servers."""
        if self.connected and not self.filling and self.happened:
            pushed = tickers(*self.happened[-count:], pushDataType=BY_DISCONNECTION)
            self._deliver(self.tape.push(pushed, RECEIVED))

    def _deliver(self, publications: list[Publication]) -> None:
        if self.engine_is_slow and publications:
            self.given_up.update(int(str(t.id)) for t in trades_of(publications))
            self.tape.lose()
            return
        for publication in publications:
            assert not (publication.backfill and publication.breaks)
            assert isinstance(publication.data, Trades)
            for place, trade in enumerate(publication.data.trades):
                self.delivered.append((int(str(trade.id)), publication.breaks and place == 0))

    def check(self) -> None:
        numbers = [number for number, _ in self.delivered]
        assert numbers == sorted(set(numbers)), "each once, and in order"
        places = {number: place for place, number in enumerate(self.happened)}
        for (before, _), (after, resumes) in itertools.pairwise(self.delivered):
            missing = places[after] - places[before] - 1
            assert resumes or not missing, f"{missing} missing between {before} and {after}"
        if self.connected and not self.filling and self.happened and self.delivered:
            newest = [number for number in self.happened if number not in self.given_up][-1:]
            assert numbers[-1:] == newest or self.delivered[-1][0] < newest[0]


moves = st.one_of(
    st.tuples(st.just("trade"), st.integers(1, 4)),
    st.tuples(st.just("trade"), st.integers(1, 10)),
    st.tuples(st.just("subscribe"), st.integers(0, 3)),
    st.tuples(st.just("answer"), st.just(1)),
    st.tuples(st.just("answer"), st.integers(0, 1)),
    st.tuples(st.just("lose"), st.just(0)),
    st.tuples(st.just("repeat"), st.integers(1, 8)),
    st.tuples(st.just("slow"), st.integers(0, 1)),
)


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(moves, max_size=30))
def test_each_trade_comes_once_in_order_and_none_is_missing_without_a_word(
    script: list[tuple[str, int]],
) -> None:
    """Whatever becomes of connections, answers and the engine."""
    market = Market()
    for kind, count in [("trade", 3), ("subscribe", 2), *script]:
        match kind:
            case "trade":
                market.trade(count)
            case "subscribe":
                if market.connected:
                    market.lose_connection()
                market.subscribe(count)
            case "answer":
                market.answer(answers=bool(count))
            case "lose":
                market.lose_connection()
            case "repeat":
                market.repeat(count)
            case _:
                market.engine_is_slow = bool(count)
        market.check()


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.integers(1, 5), max_size=20))
def test_while_nothing_is_lost_nothing_is_missing(counts: list[int]) -> None:
    """What is pushed is published at once, and nothing begins anew."""
    market = Market()
    market.subscribe(0)
    market.answer(answers=True)
    for count in counts:
        market.trade(count)
        assert [number for number, _ in market.delivered] == market.happened
    assert not any(resumes for _, resumes in market.delivered)


def taking_over(*known: int) -> Tape:
    """Make a tape that goes on after the trades of another node's feed, and is subscribed."""
    tape = Tape(TRADES)
    made = [Trade(100.5, 10, "buy", 0, sequence) for sequence in known]
    tape.go_on_after([Trades(tuple(made[:1])), Trades(tuple(made[1:]))] if made else [])
    tape.begin()
    return tape


def test_another_nodes_trades_are_not_told_twice_nor_left_out() -> None:
    """What happened while the feed changed hands is asked for, and follows."""
    tape = taking_over(1, 2, 3)
    assert tape.push(tickers(6), RECEIVED) == []
    published = tape.fill(tickers(2, 3, 4, 5, 6), RECEIVED)
    assert shown(published) == [(4, 5, 6)]
    assert shown(tape.push(tickers(7), RECEIVED)) == [(7,)]


def test_when_the_newest_trades_do_not_reach_back_that_far_it_is_told() -> None:
    """A new epoch begins, as after any loss."""
    tape = taking_over(1, 2, 3)
    assert shown(tape.fill(tickers(8, 9), RECEIVED)) == [(8, 9, "breaks")]


def test_without_trades_of_another_node_all_begins_as_ever() -> None:
    """What was before anybody asked is past. Trades of publishers are no sequences of OpenD's."""
    assert shown(taking_over().fill(tickers(1), RECEIVED)) == [(1, "backfill")]
    tape = Tape(TRADES)
    tape.go_on_after([Trades((Trade(1, 1, "buy", 0, "order-7"), Trade(1, 1, "buy", 0)))])
    tape.begin()
    assert shown(tape.fill(tickers(1), RECEIVED)) == [(1, "backfill")]
