from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bookcast.feeds.futu.candles import KINDS, LENGTHS, MINUTE_MS, PERIODS, CandleSeries
from bookcast.feeds.futu.schema import messages
from bookcast.feeds.futu.topics import SUBTYPES
from bookcast.model import PERIODS as OF_THE_MODEL
from bookcast.model import Candle, Publication, Topic
from tests.support import AAPL, CANDLES

NOON = 1_700_000_000 // 3600 * 3600
"""Seconds of a whole hour."""
RECEIVED = 1_700_000_001_000.0


def line(minute: int, volume: int = 1, **more: Any) -> Any:
    """Make a candle of OpenD's that ends so many minutes after noon."""
    fields = {
        "time": "",
        "isBlank": False,
        "openPrice": 10.0,
        "highPrice": 12.5,
        "lowPrice": 9.0,
        "closePrice": 11.0,
        "volume": volume,
        "turnover": 100.0,
        "timestamp": NOON + minute * 60,
        **more,
    }
    return messages("Qot_Common").KLine(**fields)


def candle_of(publication: Publication) -> Candle:
    assert isinstance(publication.data, Candle)
    return publication.data


def shown(publications: list[Publication]) -> list[tuple[Any, ...]]:
    """Give each candle's beginning in minutes after noon, its volume, and the marks it has."""
    found = []
    for publication in publications:
        candle = candle_of(publication)
        marks = [mark for mark in ("past", "resumes") if getattr(publication, mark)]
        final = ["final"] if candle.final else []
        begin = (candle.time - NOON * 1000) / MINUTE_MS
        found.append((begin, candle.volume, *final, *marks))
    return found


def live(*lines: Any, topic: Topic = CANDLES) -> CandleSeries:
    """Make a series that has been pushed these."""
    series = CandleSeries(topic)
    series.begin()
    series.fill((), RECEIVED)
    for pushed in lines:
        series.push([pushed], RECEIVED)
    return series


def test_every_period_has_its_kind() -> None:
    """OpenD's own names say the same."""
    kinds = messages("Qot_Common").KLType
    names = {
        "1d": "Day",
        "1w": "Week",
        "1M": "Month",
        "1Q": "Quarter",
        "1Y": "Year",
    } | {period: f"{length}Min" for period, length in LENGTHS.items()}
    assert {period: kinds.Value(f"KLType_{name}") for period, name in names.items()} == KINDS
    assert set(KINDS) == set(OF_THE_MODEL) == {v for c, v in SUBTYPES if c == "candles"}
    assert {PERIODS[kind]: kind for kind in PERIODS} == KINDS


def test_a_candle_is_dated_by_its_beginning() -> None:
    """OpenD dates it by its end."""
    [published] = live().push([line(5, 3)], RECEIVED)
    candle = Candle(
        time=(NOON + 4 * 60) * 1000,
        open=10,
        high=12.5,
        low=9,
        close=11,
        volume=3,
        turnover=100,
        final=False,
    )
    assert published == Publication(CANDLES, candle, None, RECEIVED)
    assert type(candle_of(published).time) is int


@pytest.mark.parametrize(("period", "minutes"), LENGTHS.items())
def test_each_period_has_its_length(period: str, minutes: int) -> None:
    """From minutes to hours."""
    [published] = live(topic=CANDLES._replace(variant=period)).push([line(0)], RECEIVED)
    assert shown([published]) == [(-minutes, 1)]


@pytest.mark.parametrize("period", ["1d", "1w", "1M", "1Q", "1Y"])
def test_days_and_longer_ones_are_dated_as_opend_does(period: str) -> None:
    """By the beginning of the day."""
    [published] = live(topic=CANDLES._replace(variant=period)).push([line(0)], RECEIVED)
    assert shown([published]) == [(0, 1)]


def test_a_candle_cut_short_begins_where_the_one_before_ended() -> None:
    """The last hour of a day that began at half past has half of one."""
    series = live(line(30), topic=CANDLES._replace(variant="1h"))
    published = series.push([line(60, 2)], RECEIVED)
    assert shown(published) == [(-30, 1, "final"), (30, 2)]
    assert shown(series.push([line(60, 3)], RECEIVED)) == [(30, 3)]


def test_the_time_may_stand_in_the_text_alone() -> None:
    """In the market's own time."""
    written = line(0, timestamp=0.0, time="2024-01-02 09:31:00")
    [published] = live().push([written], RECEIVED)
    assert candle_of(published).time == 1_704_205_800_000


def test_the_next_candle_makes_one_final() -> None:
    """With what was last known of it, once."""
    series = live(line(1, 1), line(1, 2))
    assert shown(series.push([line(2, 5)], RECEIVED)) == [(0, 2, "final"), (1, 5)]
    assert shown(series.push([line(2, 6)], RECEIVED)) == [(1, 6)]


def test_one_push_may_have_several_candles() -> None:
    """In whatever order."""
    series = live(line(1))
    published = series.push([line(3, 7), line(1, 4), line(2, 5)], RECEIVED)
    assert shown(published) == [(0, 4, "final"), (1, 5, "final"), (2, 7)]


def test_what_comes_late_changes_nothing() -> None:
    """A final candle stays as it was."""
    series = live(line(1), line(2))
    series.push([line(1, 99)], RECEIVED)
    assert shown(series.push([line(3)], RECEIVED)) == [(1, 1, "final"), (2, 1)]


def test_blank_candles_and_those_without_a_time_are_left_out() -> None:
    """They hold nothing."""
    assert live().push([line(1, isBlank=True), line(2, timestamp=0.0)], RECEIVED) == []


def test_candles_before_anybody_asked_are_past() -> None:
    """The one that is forming isn't."""
    series = CandleSeries(CANDLES)
    series.begin()
    assert series.push([line(3, 7)], RECEIVED) == []
    published = series.fill([line(1, 5), line(2, 6), line(3, 7)], RECEIVED)
    assert shown(published)[:3] == [(0, 5, "final", "past"), (1, 6, "final", "past"), (2, 7)]
    assert set(shown(published)[3:]) <= {(2, 7)}
    assert shown(series.push([line(4)], RECEIVED)) == [(2, 7, "final"), (3, 1)]


def test_a_candle_that_ends_while_the_past_is_asked_for_is_not_past() -> None:
    """Somebody was listening."""
    series = CandleSeries(CANDLES)
    series.begin()
    series.push([line(2, 6)], RECEIVED)
    series.push([line(3, 1)], RECEIVED)
    published = shown(series.fill([line(1, 5), line(2, 6)], RECEIVED))
    assert published == [(0, 5, "final", "past"), (1, 6), (1, 6, "final"), (2, 1)]


def test_candles_after_a_subscription_without_any_are_not_past() -> None:
    """Somebody has listened since, though the connection was lost when they formed."""
    series = CandleSeries(CANDLES)
    series.begin()
    series.fill((), RECEIVED)
    series.begin()
    published = series.fill([line(1), line(2)], RECEIVED)
    assert (0, 1, "final") in [mark[:3] for mark in shown(published)]
    assert not any(publication.past for publication in published)


def test_what_was_missed_is_filled_in() -> None:
    """The candle that was forming is final as OpenD says it ended."""
    series = live(line(1, 1))
    series.begin()
    series.push([line(3, 7)], RECEIVED)
    published = series.fill([line(0, 3), line(1, 9), line(2, 5), line(3, 7)], RECEIVED)
    assert shown(published)[:3] == [(0, 9, "final"), (1, 5, "final"), (2, 7)]


def test_when_too_much_was_missed_the_next_begins_anew() -> None:
    """Nobody knows how the candle ended that was forming."""
    series = live(line(1))
    series.begin()
    published = series.fill([line(5), line(6)], RECEIVED)
    assert shown(published) == [(4, 1, "final", "resumes"), (5, 1)]


def test_without_an_answer_what_is_pushed_next_begins_anew() -> None:
    """And the same candle goes on, if it still forms."""
    series = live(line(1))
    series.begin()
    assert series.fill((), RECEIVED) == []
    assert shown(series.push([line(1, 4)], RECEIVED)) == [(0, 4, "resumes")]
    assert shown(series.push([line(2)], RECEIVED)) == [(0, 4, "final"), (1, 1)]


def test_a_candle_cut_short_keeps_its_beginning() -> None:
    """Though the connection was lost while it formed and OpenD didn't answer."""
    series = live(line(30), line(60, 2), topic=CANDLES._replace(variant="1h"))
    series.begin()
    series.fill((), RECEIVED)
    assert shown(series.push([line(60, 3)], RECEIVED)) == [(30, 3, "resumes")]


def test_what_was_given_up_makes_the_next_begin_anew() -> None:
    """The engine is told that something is missing."""
    series = live(line(1))
    series.push([line(2)], RECEIVED)
    series.lose()
    assert shown(series.push([line(2, 2)], RECEIVED)) == [(1, 2, "resumes")]
    series.push([line(3)], RECEIVED)
    series.lose()
    series.begin()
    published = series.fill([line(2, 2), line(3)], RECEIVED)
    assert published[0].resumes


def test_what_waited_is_published_with_its_own_time_of_arrival() -> None:
    """Waiting for the past makes it no younger."""
    series = live(line(1))
    series.begin()
    series.push([line(2)], RECEIVED)
    assert series.fill([line(1)], RECEIVED + 500)[-1].feed_ms == RECEIVED


def test_the_precise_volume_counts_where_there_is_one() -> None:
    """Of crypto and fractional shares."""
    assert shown(live().push([line(1, 0, hpVolume=0.5)], RECEIVED)) == [(0, 0.5)]


def test_only_candles_are_made() -> None:
    """Under the topic that was asked for."""
    assert AAPL not in {publication.topic for publication in live().push([line(1)], RECEIVED)}


class Market:
    """An OpenD with one symbol, and a feed that listens to its candles more or less well."""

    KEPT = 3
    """So many of the newest candles OpenD gives when asked."""

    def __init__(self) -> None:
        self.series = CandleSeries(CANDLES)
        self.candles = {1: 1}  # by the minute of their ends: their volumes
        self.connected = self.filling = self.engine_is_slow = False
        self.on_the_way: list[int] = []
        self.delivered: list[tuple[int, int, bool, bool]] = []

    def trade(self, size: int, *, minutes: int) -> None:
        """Let a trade happen, some minutes after the last one; OpenD pushes what it changes."""
        minute = max(self.candles) + minutes
        self.candles[minute] = self.candles.get(minute, 0) + size
        if self.connected:
            self._deliver(self.series.push([line(minute, self.candles[minute])], RECEIVED))

    def subscribe(self, *, first_push: bool) -> None:
        if self.connected:
            self.lose_connection()
        self.series.begin()
        self.connected = self.filling = True
        if first_push:
            self.trade(0, minutes=0)

    def answer(self, *, answers: bool) -> None:
        if not self.filling:
            return
        self.filling = False
        newest = sorted(self.candles)[-self.KEPT :] if answers and self.connected else ()
        self._deliver(self.series.fill([line(m, self.candles[m]) for m in newest], RECEIVED))

    def lose_connection(self) -> None:
        self.connected = False
        self.answer(answers=False)

    def _deliver(self, publications: list[Publication]) -> None:
        if self.engine_is_slow and publications:
            self.series.lose()
            return
        for publication in publications:
            candle = candle_of(publication)
            minute = round((candle.time - NOON * 1000) / MINUTE_MS) + 1
            assert isinstance(candle.volume, int)
            self.delivered.append((minute, candle.volume, candle.final, publication.resumes))

    def check(self) -> None:
        known: dict[int, int] = {}
        finals: list[int] = []
        resumed = False
        before = 0
        for minute, volume, final, resumes in self.delivered:
            assert minute >= before, "in order"
            assert volume >= known.get(minute, 0), "a candle only grows"
            assert volume <= self.candles[minute]
            before, known[minute], resumed = minute, volume, resumed or resumes
            if final:
                assert minute not in finals, "final once"
                assert volume == self.candles[minute], "final as it ended"
                assert minute < max(self.candles), "it is still forming"
                if finals and not resumed:
                    between = [m for m in self.candles if finals[-1] < m < minute]
                    assert not between, "missing without a word"
                finals.append(minute)
                resumed = False
            else:
                assert minute not in finals, "final is final"
        for (minute, *_), (after, *_, resumes) in itertools.pairwise(self.delivered):
            assert after == minute or minute in finals or resumes, "it never became final"


moves = st.one_of(
    st.tuples(st.just("trade"), st.integers(1, 9), st.integers(0, 1)),
    st.tuples(st.just("trade"), st.integers(1, 9), st.integers(0, 6)),
    st.tuples(st.just("subscribe"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("answer"), st.just(1), st.just(0)),
    st.tuples(st.just("answer"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("lose"), st.just(0), st.just(0)),
    st.tuples(st.just("slow"), st.integers(0, 1), st.just(0)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(moves, max_size=30))
def test_each_candle_is_final_once_as_it_ended_and_none_is_missing_without_a_word(
    script: list[tuple[str, int, int]],
) -> None:
    """Whatever becomes of connections, answers and the engine."""
    market = Market()
    for kind, number, minutes in script:
        match kind:
            case "trade":
                market.trade(number, minutes=minutes)
            case "subscribe":
                market.subscribe(first_push=bool(number))
            case "answer":
                market.answer(answers=bool(number))
            case "lose":
                market.lose_connection()
            case _:
                market.engine_is_slow = bool(number)
        market.check()


def test_another_nodes_candle_goes_on() -> None:
    """It becomes final when the next one comes, once; those before aren't told again."""
    begun = [candle_of(one) for one in live(line(1)).push([line(2, 5)], RECEIVED)]
    series = CandleSeries(CANDLES)
    series.go_on_after(begun)
    series.begin()
    published = series.fill([line(1), line(2, 5), line(3, 7)], RECEIVED)
    assert shown(published) == [(1.0, 5, "final"), (2.0, 7)]


def test_a_candle_that_was_final_on_another_node_is_not_told_again() -> None:
    """The next one follows."""
    final = [candle_of(one) for one in live(line(1, 4)).push([line(2)], RECEIVED)][:1]
    assert final[0].final
    series = CandleSeries(CANDLES)
    series.go_on_after(final)
    series.begin()
    assert shown(series.fill([line(1, 4), line(2, 7)], RECEIVED)) == [(1.0, 7)]
    assert shown(series.push([line(3, 1)], RECEIVED)) == [(1.0, 7, "final"), (2.0, 1)]


def test_what_another_node_had_is_older_than_what_this_one_has() -> None:
    """Then it changes nothing."""
    series = live(line(5, 9))
    series.go_on_after([candle_of(one) for one in live(line(1)).push([line(2, 5)], RECEIVED)])
    assert shown(series.push([line(6, 1)], RECEIVED)) == [(4.0, 9, "final"), (5.0, 1)]
