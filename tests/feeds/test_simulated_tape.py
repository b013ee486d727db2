from datetime import UTC, datetime

import pytest

from bookcast.feeds.simulated_book import Fill
from bookcast.feeds.simulated_tape import SimulatedTape, period_start
from bookcast.model.market_data import Brokers, Candle, Data, Quote, Trades
from bookcast.model.topics import PERIODS, Symbol, Topic

AAPL = Symbol("US.AAPL")
NOON = datetime(2026, 8, 20, 12, 34, 56, 789_000, UTC).timestamp() * 1000


@pytest.mark.parametrize(
    ("period", "start"),
    [
        ("1m", "2026-08-20 12:34"),
        ("5m", "2026-08-20 12:30"),
        ("30m", "2026-08-20 12:30"),
        ("1h", "2026-08-20 12:00"),
        ("4h", "2026-08-20 12:00"),
        ("1d", "2026-08-20 00:00"),
        ("1w", "2026-08-17 00:00"),
        ("1M", "2026-08-01 00:00"),
        ("1Q", "2026-07-01 00:00"),
        ("1Y", "2026-01-01 00:00"),
    ],
)
def test_a_candle_begins_where_its_period_does(period: str, start: str) -> None:
    """In UTC; weeks begin on Monday."""
    moment = datetime.fromtimestamp(period_start(NOON, period) / 1000, UTC)
    assert moment.strftime("%Y-%m-%d %H:%M") == start


@pytest.mark.parametrize("period", PERIODS)
def test_every_period_has_a_beginning_that_stays(period: str) -> None:
    """The beginning of a period is its own beginning."""
    start = period_start(NOON, period)
    assert start <= NOON
    assert period_start(start, period) == start


def step(tape: SimulatedTape, fills: list[Fill], now_ms: float) -> list[Data]:
    tape.note(fills, (9.9, 10.1), now_ms)
    return [data for _, data in tape.publish(now_ms)]


def test_trades_are_published_with_growing_ids_and_only_when_there_are_some() -> None:
    """One publication for those of one step."""
    tape = SimulatedTape(AAPL, 1, 10.0)
    tape.want(Topic("trades", AAPL))
    [data] = step(tape, [Fill(10.1, 5, "buy"), Fill(9.9, 3, "sell")], NOON)
    assert isinstance(data, Trades)
    assert [(trade.price, trade.size, trade.side, trade.id) for trade in data.trades] == [
        (10.1, 5, "buy", 1),
        (9.9, 3, "sell", 2),
    ]
    assert step(tape, [], NOON) == []


def test_a_quote_sums_up_the_session() -> None:
    """Its prices, volume and turnover since the beginning."""
    tape = SimulatedTape(AAPL, 1, 10.0)
    tape.want(Topic("quote", AAPL))
    step(tape, [Fill(10.2, 5, "buy")], NOON)
    [quote] = step(tape, [Fill(9.8, 5, "sell")], NOON)
    assert quote == Quote(
        last=9.8,
        open=10.0,
        high=10.2,
        low=9.8,
        prev_close=10.0,
        volume=10,
        turnover=100.0,
        bid=9.9,
        ask=10.1,
        suspended=False,
    )


def test_a_candle_is_final_once_and_then_another_begins() -> None:
    """The final one has all trades of its period."""
    tape = SimulatedTape(AAPL, 1, 10.0)
    tape.want(Topic("candles", AAPL, "1m"))
    [first] = step(tape, [Fill(10.2, 5, "buy")], NOON)
    assert step(tape, [], NOON) == []
    [forming] = step(tape, [Fill(9.8, 5, "sell")], NOON)
    final, new = step(tape, [Fill(10.0, 1, "buy")], NOON + 60_000)
    for candle in (first, forming, final, new):
        assert isinstance(candle, Candle)
    assert isinstance(final, Candle)
    assert isinstance(new, Candle)
    assert (final.final, final.high, final.low, final.close, final.volume) == (
        True,
        10.2,
        9.8,
        9.8,
        10,
    )
    assert (new.final, new.time, new.volume) == (False, final.time + 60_000, 1)


def test_brokers_are_published_now_and_then() -> None:
    """Five on each side, best price first."""
    tape = SimulatedTape(AAPL, 1, 10.0)
    tape.want(Topic("brokers", AAPL))
    tape.want(Topic("orderbook", AAPL))
    made = [data for _ in range(40) for data in step(tape, [], NOON)]
    assert len(made) == 2
    assert isinstance(made[0], Brokers)
    assert [broker.pos for broker in made[0].bids] == [1, 1, 2, 2, 3]
