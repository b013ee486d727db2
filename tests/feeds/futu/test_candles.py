from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bookcast.feeds.futu.candles import KEPT, KINDS, LENGTHS, PERIODS, CandleSeries
from bookcast.feeds.futu.hours import MINUTE_MS
from bookcast.feeds.futu.markets import TIME_ZONES
from bookcast.feeds.futu.schema import messages
from bookcast.feeds.futu.topics import SUBTYPES
from bookcast.model.market_data import Candle
from bookcast.model.topics import PERIODS as OF_THE_MODEL
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication
from tests.budget import examples
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
        marks = [mark for mark in ("backfill", "breaks") if getattr(publication, mark)]
        marks = [mark for mark in ("final", "revised") if getattr(candle, mark)] + marks
        begin = (candle.time - NOON * 1000) / MINUTE_MS
        found.append((begin, candle.volume, *marks))
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


def at(symbol: str, text: str) -> float:
    """Return a time of a symbol's market in seconds since 1970."""
    zone = ZoneInfo(TIME_ZONES.get(symbol.partition(".")[0], "Asia/Hong_Kong"))
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def beginnings(symbol: str, period: str, *labels: str, written: bool = False) -> list[str]:
    """Push candles with these labels; give when the model says that each one published began."""
    topic = Topic("candles", Symbol(symbol), period)
    series, found = live(topic=topic), list[str]()
    for label in labels:
        told = (
            {"timestamp": 0.0, "time": f"{label}:00"[:19]}
            if written
            else {"timestamp": at(symbol, label)}
        )
        for publication in series.push([line(0, len(found) + 1, **told)], RECEIVED):
            candle = candle_of(publication)
            zone = ZoneInfo(TIME_ZONES.get(symbol.partition(".")[0], "Asia/Hong_Kong"))
            begin = datetime.fromtimestamp(candle.time / 1000, zone).isoformat(" ", "minutes")
            found.append(begin[:16] + (" final" if candle.final else ""))
    return found


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("symbol", ["HK.00700", "US.AAPL", "JP.7203", "CC.BTCUSD"])
@pytest.mark.parametrize(
    ("period", "label", "begin"),
    [
        ("1d", "2026-04-08 00:00", "2026-04-08"),
        ("1d", "2026-04-08 16:00", "2026-04-08"),
        ("1w", "2026-04-06 00:00", "2026-04-06"),
        ("1w", "2026-04-10 00:00", "2026-04-06"),
        ("1w", "2026-04-12 00:00", "2026-04-06"),
        ("1M", "2026-04-30 00:00", "2026-04-01"),
        ("1Q", "2026-06-30 00:00", "2026-04-01"),
        ("1Q", "2026-11-02 00:00", "2026-10-01"),
        ("1Y", "2026-12-31 00:00", "2026-01-01"),
    ],
)
def test_days_and_longer_ones_begin_with_their_first_day(
    symbol: str, period: str, label: str, begin: str, written: bool
) -> None:
    """At midnight of their market, whichever of their days OpenD names."""
    assert beginnings(symbol, period, label, written=written) == [f"{begin} 00:00"]


def test_a_week_that_goes_on_is_one_candle() -> None:
    """Though its label goes on as well."""
    days = [f"2026-04-{day:02} 00:00" for day in (7, 8, 9, 13)]
    week, following = "2026-04-06 00:00", "2026-04-13 00:00"
    assert beginnings("HK.00700", "1w", *days) == [week, week, week, f"{week} final", following]


@pytest.mark.parametrize(
    ("symbol", "period", "labels", "begin"),
    [
        ("HK.00700", "4h", ["14:30"], "09:30"),
        ("HK.00700", "4h", ["14:30", "16:00"], "14:30"),
        ("HK.00700", "2h", ["11:30", "14:30"], "11:30"),
        ("HK.00700", "1h", ["13:30"], "11:30"),
        ("HK.00700", "1h", ["11:30", "12:00", "14:00"], "13:00"),
        ("HK.00700", "1h", ["11:30", "12:00", "13:30"], "13:00"),
        ("HK.00700", "1h", ["13:00"], "11:00"),
        ("HK.00700", "1m", ["13:01"], "13:00"),
        ("HK.00700", "4h", ["12:00"], "09:30"),
        ("SH.600519", "1h", ["14:00"], "13:00"),
        ("SH.600519", "4h", ["15:00"], "09:30"),
        ("SZ.000001", "3h", ["14:00"], "09:30"),
        ("JP.7203", "1h", ["13:00"], "11:00"),
        ("JP.7203", "4h", ["14:00"], "09:00"),
        ("SG.D05", "2h", ["14:00"], "11:00"),
        ("HK.HSImain", "1h", ["13:15"], "11:15"),
        ("HK.HSImain", "2h", ["18:15"], "17:15"),
        ("HK.TCH260429C600000", "4h", ["14:30"], "09:30"),
        ("US.AAPL", "4h", ["13:30"], "09:30"),
        ("US.AAPL", "4h", ["08:00"], "04:00"),
        ("US.AAPL", "1h", ["15:30", "16:00"], "15:30"),
        ("CC.BTCUSD", "4h", ["14:30"], "10:30"),
        ("AU.BHP", "2h", ["14:00"], "12:00"),
    ],
)
def test_a_candle_begins_so_many_minutes_of_trading_before_its_label(
    symbol: str, period: str, labels: list[str], begin: str
) -> None:
    """A break isn't among them."""
    found = beginnings(symbol, period, *(f"2026-04-08 {label}" for label in labels))
    assert found[-1] == f"2026-04-08 {begin}"


def test_a_candle_over_midnight_begins_on_the_day_before() -> None:
    """Night sessions of futures, and the overnight hours of US stocks."""
    assert beginnings("HK.HSImain", "4h", "2026-04-09 01:15") == ["2026-04-08 21:15"]
    assert beginnings("US.AAPL", "1h", "2026-04-09 00:00") == ["2026-04-08 23:00"]


def test_the_close_before_is_told_where_it_is_given() -> None:
    """OpenD says 0 where it doesn't know; what was known of a candle stays known."""
    series = live()
    [first] = series.push([line(1, lastClosePrice=10.25)], RECEIVED)
    assert candle_of(first).prev_close == 10.25
    [same] = series.push([line(1, 2, lastClosePrice=0.0)], RECEIVED)
    assert candle_of(same).prev_close == 10.25
    *_, following = series.push([line(2)], RECEIVED)
    assert candle_of(following).prev_close is None


def test_a_candle_that_was_ended_is_final_once() -> None:
    """The next one begins as ever, and what comes again unchanged is nothing new."""
    series = live(line(1, 4))
    assert shown(series.end(RECEIVED)) == [(0, 4, "final")]
    assert series.end(RECEIVED) == []
    assert series.push([line(1, 4)], RECEIVED) == []
    assert shown(series.push([line(2, 7)], RECEIVED)) == [(1, 7)]


def test_what_corrects_an_ended_candle_is_final_and_revised() -> None:
    """As often as it changes."""
    series = live(line(1, 4))
    series.end(RECEIVED)
    assert shown(series.push([line(1, 5)], RECEIVED)) == [(0, 5, "final", "revised")]
    assert series.push([line(1, 5)], RECEIVED) == []
    assert shown(series.push([line(1, 4)], RECEIVED)) == [(0, 4, "final", "revised")]
    assert series.push([line(1, 4, turnover=None)], RECEIVED) != []


def test_a_correction_of_an_older_candle_leaves_the_newest_one_the_newest() -> None:
    """It is published again, whether it forms or has ended."""
    series = live(line(1, 1), line(2, 2))
    corrected = shown(series.push([line(1, 9), line(2, 2)], RECEIVED))
    assert corrected == [(0, 9, "final", "revised"), (1, 2)]
    series.end(RECEIVED)
    corrected = shown(series.push([line(1, 8)], RECEIVED))
    assert corrected == [(0, 8, "final", "revised"), (1, 2, "final", "revised")]


def test_a_correction_is_found_when_the_past_is_asked_for_again() -> None:
    """After a lost connection."""
    series = live(line(1, 1), line(2, 2), line(3, 3))
    series.begin()
    published = shown(series.fill([line(1, 1), line(2, 9), line(3, 3)], RECEIVED))
    assert published == [(1, 9, "final", "revised"), (2, 3)]


def test_what_is_too_old_is_not_corrected() -> None:
    """Nobody knows what was said of it."""
    series = live(*(line(minute) for minute in range(1, KEPT + 3)))
    assert series.push([line(1, 99)], RECEIVED) == []
    assert series.push([line(2, 99)], RECEIVED) != []


@pytest.mark.parametrize("state", ["filling", "interrupted"])
def test_a_candle_that_may_have_missed_something_is_not_ended(state: str) -> None:
    """OpenD tells how it went on first."""
    series = live(line(1, 4))
    if state == "filling":
        series.begin()
    else:
        series.interrupt()
    assert series.end(RECEIVED) == []


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


def test_what_comes_late_revises_a_final_candle() -> None:
    """The one that forms goes on."""
    series = live(line(1), line(2))
    assert shown(series.push([line(1, 99)], RECEIVED)) == [(0, 99, "final", "revised"), (1, 1)]
    assert shown(series.push([line(3)], RECEIVED)) == [(1, 1, "final"), (2, 1)]


def test_blank_candles_and_those_without_a_time_are_left_out() -> None:
    """They hold nothing."""
    empty = [line(1, isBlank=True), line(2, timestamp=0.0), line(3, closePrice=None)]
    assert live().push(empty, RECEIVED) == []


def test_candles_before_anybody_asked_are_past() -> None:
    """The one that is forming isn't."""
    series = CandleSeries(CANDLES)
    series.begin()
    assert series.push([line(3, 7)], RECEIVED) == []
    published = series.fill([line(1, 5), line(2, 6), line(3, 7)], RECEIVED)
    assert shown(published)[:3] == [
        (0, 5, "final", "backfill"),
        (1, 6, "final", "backfill"),
        (2, 7),
    ]
    assert set(shown(published)[3:]) <= {(2, 7)}
    assert shown(series.push([line(4)], RECEIVED)) == [(2, 7, "final"), (3, 1)]


def test_a_candle_that_ends_while_the_past_is_asked_for_is_not_past() -> None:
    """Somebody was listening."""
    series = CandleSeries(CANDLES)
    series.begin()
    series.push([line(2, 6)], RECEIVED)
    series.push([line(3, 1)], RECEIVED)
    published = shown(series.fill([line(1, 5), line(2, 6)], RECEIVED))
    assert published == [(0, 5, "final", "backfill"), (1, 6), (1, 6, "final"), (2, 1)]


def test_candles_after_a_subscription_without_any_are_not_past() -> None:
    """Somebody has listened since, though the connection was lost when they formed."""
    series = CandleSeries(CANDLES)
    series.begin()
    series.fill((), RECEIVED)
    series.begin()
    published = series.fill([line(1), line(2)], RECEIVED)
    assert (0, 1, "final") in [mark[:3] for mark in shown(published)]
    assert not any(publication.backfill for publication in published)


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
    assert shown(published) == [(4, 1, "final", "breaks"), (5, 1)]


def test_without_an_answer_what_is_pushed_next_begins_anew() -> None:
    """And the same candle goes on, if it still forms."""
    series = live(line(1))
    series.begin()
    assert series.fill((), RECEIVED) == []
    assert shown(series.push([line(1, 4)], RECEIVED)) == [(0, 4, "breaks")]
    assert shown(series.push([line(2)], RECEIVED)) == [(0, 4, "final"), (1, 1)]


def test_a_candle_cut_short_keeps_its_beginning() -> None:
    """Though the connection was lost while it formed and OpenD didn't answer."""
    series = live(line(30), line(60, 2), topic=CANDLES._replace(variant="1h"))
    series.begin()
    series.fill((), RECEIVED)
    assert shown(series.push([line(60, 3)], RECEIVED)) == [(30, 3, "breaks")]


def test_what_was_given_up_makes_the_next_begin_anew() -> None:
    """The engine is told that something is missing."""
    series = live(line(1))
    series.push([line(2)], RECEIVED)
    series.lose()
    assert shown(series.push([line(2, 2)], RECEIVED)) == [(1, 2, "breaks")]
    series.push([line(3)], RECEIVED)
    series.lose()
    series.begin()
    published = series.fill([line(2, 2), line(3)], RECEIVED)
    assert published[0].breaks


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
            self.delivered.append((minute, candle.volume, candle.final, publication.breaks))

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


@pytest.mark.no_cover
@settings(max_examples=examples(300), deadline=None)
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


events = st.one_of(
    st.tuples(st.just("trade"), st.integers(0, 2)),
    st.tuples(st.just("late"), st.integers(0, 3)),
    st.tuples(st.just("end"), st.just(0)),
    st.tuples(st.just("again"), st.just(0)),
)


@pytest.mark.no_cover
@settings(max_examples=examples(300), deadline=None)
@given(st.lists(events, max_size=30))
def test_whatever_is_corrected_the_last_word_on_each_candle_is_right(
    script: list[tuple[str, int]],
) -> None:
    """Only what was final is revised, and the newest candle is always what was published last."""
    truth: dict[int, int] = {1: 1}
    series, delivered = live(), list[tuple[Any, ...]]()
    for kind, number in script:
        newest = max(truth)
        minute = newest + number if kind == "trade" else max(1, newest - number)
        if kind in {"trade", "late"} and minute in {*truth, newest + number}:
            truth[minute] = truth.get(minute, 0) + 1
            delivered += shown(series.push([line(minute, truth[minute])], RECEIVED))
        elif kind == "end":
            delivered += shown(series.end(RECEIVED))
        else:
            delivered += shown(series.push([line(newest, truth[newest])], RECEIVED))
        told: dict[int, tuple[Any, ...]] = {}
        for begin, volume, *marks in delivered:
            known = told.get(begin)
            assert ("revised" in marks) == (known is not None and "final" in known)
            told[begin] = (volume, *marks)
        assert all(volume == truth[round(begin) + 1] for begin, (volume, *_) in told.items())
        assert not delivered or delivered[-1][0] == max(told)


def test_another_nodes_candle_goes_on_over_a_break() -> None:
    """It is the same one, though its label isn't its beginning and its length."""
    topic = Topic("candles", Symbol("HK.00700"), "4h")
    label = line(0, 1, timestamp=at("HK.00700", "2026-04-08 14:30"))
    begun = [candle_of(one) for one in live(topic=topic).push([label], RECEIVED)]
    series = CandleSeries(topic)
    series.go_on_after(begun)
    label.volume = 2
    [same] = series.push([label], RECEIVED)
    assert (candle_of(same).time, candle_of(same).volume) == (begun[0].time, 2)


def test_another_nodes_candle_goes_on_where_a_session_is_short() -> None:
    """OpenD's label is sooner than its length says."""
    topic = Topic("candles", Symbol("HK.00700"), "1h")
    labels = [
        line(0, n, timestamp=at("HK.00700", f"2026-04-08 {label}"))
        for n, label in enumerate(("11:30", "12:00"))
    ]
    begun = [candle_of(one) for one in live(labels[0], topic=topic).push(labels[1:], RECEIVED)]
    series = CandleSeries(topic)
    series.go_on_after(begun)
    labels[1].volume = 9
    [same] = series.push(labels[1:], RECEIVED)
    assert candle_of(same).time == begun[-1].time


def test_another_nodes_final_candle_is_corrected_here() -> None:
    """The next feed knows what the one before has said."""
    final = [candle_of(one) for one in live(line(1, 4)).push([line(2)], RECEIVED)]
    series = CandleSeries(CANDLES)
    series.go_on_after(final)
    assert shown(series.push([line(1, 5)], RECEIVED)) == [(0, 5, "final", "revised"), (1, 1)]


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


@pytest.mark.parametrize("period", ["1m", "4h", "1d", "1w", "1M", "1Q", "1Y"])
@pytest.mark.parametrize(
    "label",
    [
        {"timestamp": 253_402_300_799.0},
        {"time": "9999-12-31 00:00:00", "timestamp": 0.0},
        {"time": "0001-01-01 00:00:00", "timestamp": 0.0},
    ],
)
def test_no_candle_is_of_a_time_that_no_calendar_has(period: str, label: dict[str, Any]) -> None:
    """It is passed over."""
    series = live(topic=AAPL._replace(channel="candles", variant=period))
    assert series.push([line(0, **label)], RECEIVED) == []


@pytest.mark.parametrize("text", ["9999-12-31 00:00:00", "0001-01-01 00:00:00"])
def test_a_text_that_is_no_days_of_its_candle_does_not_count(text: str) -> None:
    """Its timestamp does."""
    series = live(topic=AAPL._replace(channel="candles", variant="1d"))
    [published] = series.push([line(0, time=text)], RECEIVED)
    assert candle_of(published).time == 1_699_938_000_000  # midnight in New York


@pytest.mark.parametrize(
    ("prices", "high", "low"),
    [
        ((0.3, 0.3, 0.2, 0.1 + 0.2), 0.1 + 0.2, 0.2),
        ((0.3, 0.4, 0.1 + 0.2, 0.35), 0.4, 0.3),
        ((134.0, 133.0, 132.0, 132.5), 133, 132),
    ],
)
def test_a_bound_that_misses_a_price_by_one_bit_becomes_that_price(
    prices: tuple[float, float, float, float], high: float, low: float
) -> None:
    """A chart can draw it; what misses by more stays as OpenD says it."""
    names = ("openPrice", "highPrice", "lowPrice", "closePrice")
    fields: dict[str, Any] = dict(zip(names, prices, strict=True))
    pushed = live().push([line(1, **fields)], RECEIVED)
    candle = candle_of(pushed[0])
    assert (repr(candle.high), repr(candle.low)) == (repr(high), repr(low))
