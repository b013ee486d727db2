from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bookcast.feeds.futu.candles import CandleSeries
from bookcast.feeds.futu.markets import TIME_ZONES, MarketState
from bookcast.feeds.futu.schema import messages
from bookcast.feeds.futu.session_end import Endings, phase_of
from bookcast.feeds.futu.times import FutuTimes
from bookcast.model.topics import Symbol, Topic

UNKNOWN = MarketState()
OPEN = MarketState(session="regular")
AUCTION = MarketState(session="closing_auction")
BREAK = MarketState("the market has its lunch break", "break")
CLOSED = MarketState("the market is closed")
PRE, AFTER, OVERNIGHT, NIGHT = (
    MarketState(session=session) for session in ("pre", "after", "overnight", "night")
)


class Watch:
    """One candle of a market whose clock and state a test moves. Times are ``08 16:00:10``."""

    def __init__(self, symbol: str, period: str, now: str, state: MarketState = OPEN) -> None:
        self.topic = Topic("candles", Symbol(symbol), period)
        self.zone = ZoneInfo(TIME_ZONES.get(symbol.partition(".")[0], "Asia/Hong_Kong"))
        self.state = state
        self.endings = Endings(lambda _: self.state, FutuTimes().corrections_seconds)
        self.series = CandleSeries(self.topic)
        self.volume = 0
        self.look(now)

    def ms(self, text: str) -> float:
        moment = datetime.fromisoformat(f"2026-04-{text}").replace(tzinfo=self.zone)
        return moment.timestamp() * 1000

    def push(self, label: str, now: str) -> None:
        """Push something new of the candle with this label."""
        self.volume += 1
        line: Any = messages("Qot_Common").KLine(
            time="",
            isBlank=False,
            closePrice=1.0,
            timestamp=self.ms(label) / 1000,
            volume=self.volume,
        )
        self.series.push([line], self.ms(now))

    def look(self, now: str, state: MarketState | None = None) -> bool:
        """Return whether the candle has ended when somebody looks now."""
        self.state = state or self.state
        at = self.ms(now)
        self.endings.look(self.topic.symbol, at)
        return self.endings.has_ended(self.topic.symbol, self.series, at)


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        (OPEN, "regular"),
        (AUCTION, "regular"),
        (MarketState(session="auction"), "regular"),
        (PRE, "pre"),
        (NIGHT, "night"),
        (BREAK, "break"),
        (CLOSED, "closed"),
        (MarketState("it has ended", "after"), "closed"),
        (UNKNOWN, ""),
    ],
)
def test_a_market_has_a_phase(state: MarketState, phase: str) -> None:
    """Auctions belong to the regular one."""
    assert phase_of(state) == phase


def test_without_a_candle_nothing_ends() -> None:
    """However long the market is closed."""
    watch = Watch("HK.00700", "1m", "08 16:11", CLOSED)
    assert not watch.look("08 20:00")


@pytest.mark.parametrize(
    ("symbol", "period", "label", "before", "state", "closed"),
    [
        ("HK.00700", "1m", "08 16:00", "08 15:59:30", CLOSED, "08 16:08:30"),
        ("HK.00700", "1m", "08 12:00", "08 11:59:30", BREAK, "08 12:00:05"),
        ("HK.00700", "4h", "08 14:30", "08 12:00:00", CLOSED, "08 12:08:00"),
        ("US.AAPL", "1m", "08 16:00", "08 15:59:30", AFTER, "08 16:00:03"),
        ("US.AAPL", "1m", "08 13:00", "08 12:59:30", AFTER, "08 13:00:03"),
        ("US.AAPL", "5m", "08 09:30", "08 09:29:30", OPEN, "08 09:30:02"),
        ("US..DJI", "1h", "08 13:30", "08 12:59:30", AFTER, "08 13:00:03"),
        ("HK.HSImain", "1h", "09 03:00", "09 02:59:00", CLOSED, "09 03:00:04"),
        ("US.ESmain", "1m", "08 17:00", "08 16:59:30", BREAK, "08 17:00:04"),
        ("SG.CNmain", "1m", "08 16:30", "08 16:29:30", CLOSED, "08 16:30:04"),
        ("HK.00700", "1d", "08 00:00", "08 15:59:30", CLOSED, "08 16:09:00"),
        ("HK.00700", "1d", "08 00:00", "08 11:59:30", CLOSED, "08 12:08:00"),
        ("US.AAPL", "1d", "08 00:00", "08 15:59:30", AFTER, "08 16:00:03"),
        ("HK.HSImain", "1d", "08 00:00", "08 16:29:30", CLOSED, "08 16:30:02"),
        ("HK.00700", "1w", "06 00:00", "10 15:59:30", CLOSED, "10 16:09:00"),
        ("US.AAPL", "1M", "01 00:00", "30 15:59:30", AFTER, "30 16:00:03"),
    ],
)
def test_a_session_ends_by_the_state_of_its_market(  # noqa: PLR0917 - one case
    symbol: str, period: str, label: str, before: str, state: MarketState, closed: str
) -> None:
    """And 10 s later its last candle is final."""
    watch = Watch(symbol, period, before, PRE if state is OPEN else OPEN)
    watch.push(label, before)
    assert not watch.look(before)
    assert not watch.look(closed, state)
    at = watch.ms(closed)
    for seconds, ended in ((9.9, False), (10.0, True), (600.0, True)):
        later = at + seconds * 1000
        watch.endings.look(watch.topic.symbol, later)
        has_ended = watch.endings.has_ended(watch.topic.symbol, watch.series, later)
        assert has_ended is ended, seconds


@pytest.mark.parametrize(
    ("symbol", "period", "label", "seen", "early", "late"),
    [
        ("HK.00700", "1m", "08 12:00", "08 11:59:50", "08 12:00:09", "08 12:00:10"),
        ("HK.00700", "1m", "08 11:51", "08 11:50:50", "08 12:00:09", "08 12:00:10"),
        ("HK.00700", "1m", "08 16:00", "08 15:59:50", "08 16:10:09", "08 16:10:10"),
        ("SH.600519", "1h", "08 15:00", "08 14:59:50", "08 15:00:09", "08 15:00:10"),
        ("US.AAPL", "1m", "08 16:00", "08 15:59:50", "08 16:00:09", "08 16:00:10"),
        ("US.AAPL", "1d", "08 00:00", "08 15:59:50", "08 16:00:09", "08 16:00:10"),
        ("HK.00700", "1d", "08 00:00", "08 15:59:50", "08 16:10:09", "08 16:10:10"),
        ("HK.00700", "1w", "07 00:00", "10 15:59:50", "10 16:10:09", "10 16:10:10"),
        ("JP.7203", "1M", "01 00:00", "30 15:29:50", "30 15:30:09", "30 15:30:10"),
        ("CC.BTCUSD", "1d", "08 00:00", "08 23:59:50", "09 00:00:09", "09 00:00:10"),
        ("HK.00700", "1d", "07 00:00", "08 08:00:00", "08 08:00:09", "08 08:00:10"),
        ("US.AAPL", "1w", "06 00:00", "11 08:00:00", "11 08:00:09", "11 08:00:10"),
    ],
)
def test_without_a_state_the_clock_ends_a_session(  # noqa: PLR0917 - one case
    symbol: str, period: str, label: str, seen: str, early: str, late: str
) -> None:
    """What is seen when its session is long over waits as long."""
    watch = Watch(symbol, period, seen, UNKNOWN)
    watch.push(label, seen)
    assert not watch.look(early)
    assert watch.look(late)


@pytest.mark.parametrize(
    ("period", "label", "now"),
    [
        ("1m", "08 10:01", "08 11:00"),
        ("4h", "08 14:30", "08 12:30"),
        ("1d", "08 00:00", "08 12:30"),
        ("1w", "06 00:00", "08 18:00"),
        ("1M", "01 00:00", "08 18:00"),
    ],
)
@pytest.mark.parametrize("state", [UNKNOWN, OPEN, BREAK])
def test_what_goes_on_is_not_ended(period: str, label: str, now: str, state: MarketState) -> None:
    """A session that trades, a candle over the lunch break, a week in its middle."""
    watch = Watch("HK.00700", period, "08 09:59", state)
    watch.push(label, "08 10:00")
    if (period, state) == ("1m", BREAK):
        return  # that one is over in a break
    assert not watch.look(now)


def test_a_closing_auction_belongs_to_its_session() -> None:
    """However long it takes."""
    watch = Watch("HK.00700", "1m", "08 15:59")
    watch.push("08 16:00", "08 15:59")
    assert not watch.look("08 16:00:30", AUCTION)
    assert not watch.look("08 16:12:00")
    assert not watch.look("08 16:12:05", CLOSED)
    assert watch.look("08 16:12:15")


def test_a_market_that_trades_longer_than_usual_has_not_ended() -> None:
    """Its state counts before the clock, until the next session."""
    for period, label in (("1m", "08 16:00"), ("1d", "08 00:00")):
        watch = Watch("HK.00700", period, "08 15:59")
        watch.push(label, "08 15:59")
        assert not watch.look("08 16:30")
        assert watch.look("09 09:30:10")


def test_a_morning_is_over_in_the_afternoon() -> None:
    """Of a symbol that nobody has traded since."""
    watch = Watch("HK.00700", "5m", "08 14:00")
    watch.push("08 11:40", "08 14:00")
    assert not watch.look("08 14:00:09")
    assert watch.look("08 14:00:10")


def test_before_the_open_a_day_has_not_ended() -> None:
    """Its auction is over, and its market waits."""
    for period, label in (("1m", "08 09:31"), ("1d", "08 00:00")):
        watch = Watch("HK.00700", period, "08 09:19", MarketState(session="auction"))
        watch.push(label, "08 09:20")
        assert not watch.look("08 09:22", CLOSED)
        assert not watch.look("08 09:29:59")


def test_the_end_of_a_night_is_not_the_end_of_its_day() -> None:
    """The day's candle of a future began with the night."""
    watch = Watch("HK.HSImain", "1d", "08 02:59", NIGHT)
    watch.push("08 00:00", "08 02:59")
    assert not watch.look("08 03:00", CLOSED)
    assert not watch.look("08 09:14")
    following = Watch("HK.HSImain", "1d", "08 16:40", CLOSED)
    following.push("09 00:00", "08 17:15")
    assert not following.look("08 23:00", NIGHT)
    assert not following.look("09 03:10", CLOSED)


def test_a_closed_market_before_the_last_day_of_a_week_ends_no_week() -> None:
    """It hasn't opened on that day."""
    watch = Watch("HK.00700", "1w", "09 15:00")
    watch.push("06 00:00", "09 15:00")
    assert not watch.look("09 16:10", CLOSED)
    assert not watch.look("10 00:01")
    assert not watch.look("10 09:30:30")


def test_what_still_changes_under_a_closed_state_has_not_ended() -> None:
    """The state may be another security's: it has ended when it is quiet for 10 s."""
    watch = Watch("SG.CNmain", "1h", "08 17:00", CLOSED)
    for second in range(0, 50, 5):
        watch.push("08 18:00", f"08 17:00:{second:02}")
        assert not watch.look(f"08 17:00:{second:02}")
    assert not watch.look("08 17:00:54")
    assert watch.look("08 17:00:55")


def test_a_state_that_is_learnt_late_ends_nothing_by_itself() -> None:
    """Nothing changed but what is known."""
    watch = Watch("SG.CNmain", "1m", "08 10:00", UNKNOWN)
    watch.push("08 10:01", "08 10:00:30")
    assert not watch.look("08 10:02", OPEN)
    assert not watch.look("08 10:03")
