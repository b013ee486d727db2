from typing import Any

import pytest

from bookcast.client.gaps import Gap
from bookcast.client.tape import Tape
from bookcast.model.market_data import Candle, Trade
from bookcast.model.updates import Position
from bookcast.protocol.v1 import messages as v1

TS = (None, None, 0.0)


def trade(prev: int, seq: int, epoch: str = "e") -> v1.TradeMessage:
    """Make a message whose trades have their numbers for prices."""
    trades = [Trade(number, 1, "buy", 0) for number in range(prev + 1, seq + 1)]
    return v1.TradeMessage("trades", "A", epoch, seq, TS, prev, v1.TradesData(trades))


def candle(seq: int, *, final: bool, epoch: str = "e") -> v1.CandleUpdate:
    """Make a candle that closes at its number."""
    data = Candle(time=0, open=1, high=9, low=1, close=seq, volume=1, final=final)
    return v1.CandleUpdate("candles", "A", epoch, seq, TS, "1m", data)


def gap(first: int | None, last: int | None, epoch: str = "e", reason: Any = "overflow") -> Any:
    """Make the server's word of a gap."""
    return v1.GapMessage(
        channel="trades", symbol="A", epoch=epoch, from_seq=first, to_seq=last, reason=reason
    )


@pytest.fixture
def tape() -> Tape:
    """Make a tape that stands at 3."""
    tape = Tape(are_trades=True)
    tape.place(Position("e", 3), recovered=None, goes_back=False)
    return tape


def test_trades_follow_each_other(tape: Tape) -> None:
    """One that came is old, and a hole is noticed."""
    assert tape.receive(trade(3, 5)) == "new"
    assert tape.newest is not None
    assert tape.newest.weight == 2
    assert tape.receive(trade(3, 5)) == "old"
    assert tape.receive(trade(6, 7)) == "broken"
    assert tape.receive(trade(0, 1, "f")) == "broken"
    assert tape.position == Position("e", 5)


def test_a_gap_that_the_server_tells_goes_on_from_there(tape: Tape) -> None:
    """What of it came before isn't missing."""
    assert tape.gap(gap(2, 6)) == Gap("e", 4, 6, "overflow")
    assert tape.gap(gap(2, 6)) == "old"
    assert tape.receive(trade(6, 7)) == "new"
    assert tape.gap(gap(9, 10)) == "broken"
    assert tape.gap(gap(None, None, "f", "epoch")) == Gap("f", None, None, "epoch")
    assert tape.receive(trade(4, 5, "f")) == "new"
    assert tape.gap(gap(None, None)) == "broken"


def test_what_was_before_the_first_trade_of_all_never_came() -> None:
    """Where nothing was known when it was subscribed."""
    tape = Tape(are_trades=True)
    tape.place(None, recovered=None, goes_back=False)
    assert tape.receive(trade(2, 3)) == "new"
    assert tape.take_owed() == Gap("e", None, 2, "history")
    assert tape.take_owed() is None


def test_a_new_epoch_is_owed_a_gap(tape: Tape) -> None:
    """The server was told a position that isn't of it; without one it has to be asked."""
    assert tape.place(Position("f", 0), recovered=None, goes_back=False) == "broken"
    assert tape.place(Position("f", 7), recovered=False, goes_back=False) == "new"
    assert tape.take_owed() == Gap("f", None, None, "epoch")
    assert tape.receive(trade(7, 8, "f")) == "new"


def test_history_comes_again_when_it_is_asked_for(tape: Tape) -> None:
    """What is kept for others begins anew."""
    tape.keep = 10
    tape.receive(trade(3, 4))
    assert tape.place(Position("e", 1), recovered=None, goes_back=True) == "new"
    assert [tape.receive(trade(1, 2)), tape.receive(trade(2, 4))] == ["new", "new"]
    assert [batch.seq for batch in tape.past(2)] == [4]
    assert [batch.seq for batch in tape.past(3)] == [2, 4]


def test_candles_that_form_are_replaced_and_final_ones_kept() -> None:
    """They skip numbers, and a new epoch may begin with any."""
    tape = Tape(are_trades=False)
    tape.keep = 10
    for message in (candle(1, final=False), candle(3, final=False), candle(4, final=True)):
        assert tape.receive(message) == "new"
    tape.receive(candle(5, final=False))
    assert [batch.seq for batch in tape.past(1)] == [4, 5]
    assert tape.receive(candle(1, final=False, epoch="f")) == "new"
    assert tape.take_owed() == Gap("f", None, None, "epoch")
    assert tape.receive(candle(9, final=True)) == "broken"
