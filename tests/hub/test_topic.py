import msgspec
import pytest

from bookcast.hub.topic import MAX_WAITING, EventTopic, LiveTopic, StateTopic, live_topic
from bookcast.hub.view import View, ViewSpec
from bookcast.model import Position, Topic, Update
from bookcast.model.cursor import Cursor
from tests.support import AAPL, CANDLES, QUOTE, TRADES, candle, trades, update

SPEC = ViewSpec("v1", "AAPL")


def seqs(updates: object) -> list[int]:
    assert isinstance(updates, list | tuple)
    return [shown.position.seq for shown in updates]


def test_updates_wait_in_order_until_taken() -> None:
    """Taking empties the topic and notes the last as emitted."""
    live = StateTopic(AAPL, 100)
    assert [live.add(update(seq)) for seq in (1, 2, 3)] == [0, 0, 0]
    assert live.waiting_count() == 3
    assert live.take() == 3
    assert seqs(live.step(View(SPEC, None)).updates) == [1, 2, 3]
    assert live.take() == 0
    assert live.emitted is not None
    assert live.emitted.position.seq == 3


def test_past_the_bound_the_newest_takes_the_last_place() -> None:
    """What waits is bounded, and always ends on the newest."""
    live = StateTopic(AAPL, 100)
    displaced = sum(live.add(update(seq)) for seq in range(1, 101))
    assert live.take() == 100
    shown = seqs(live.step(View(SPEC, None)).updates)
    assert (len(shown), shown[-1]) == (MAX_WAITING, 100)
    assert displaced == 100 - MAX_WAITING


def test_a_view_with_an_interval_is_shown_the_newest_state() -> None:
    """And nothing of what came before it."""
    live = StateTopic(AAPL, 100)
    live.add(update(1))
    live.add(update(2))
    live.take()
    assert seqs(live.step(View(SPEC._replace(interval_ms=100), None)).updates) == [2]


def test_equal_specs_share_a_view() -> None:
    """A view is made once per spec."""
    live = StateTopic(AAPL, 100)
    views = [live.view(ViewSpec("base", name)) for name in ("A", "A", "B")]
    assert views[0] is views[1]
    assert views[0] is not views[2]


@pytest.mark.parametrize(
    ("topic", "kind"),
    [(AAPL, StateTopic), (QUOTE, StateTopic), (TRADES, EventTopic), (CANDLES, EventTopic)],
)
def test_the_channel_decides_whether_every_update_counts(
    topic: Topic, kind: type[LiveTopic]
) -> None:
    """Trades and candles do, the rest is a state."""
    assert type(live_topic(topic, 10, 10)) is kind


def test_every_trade_is_shown_however_many_come() -> None:
    """None is displaced; what a view hasn't shown is found in the history."""
    live = EventTopic(TRADES, history_size=1000)
    assert sum(live.add(update(seq, TRADES)) for seq in range(1, 101)) == 0
    live.take()
    step = live.step(View(SPEC, Cursor.at(update(40, TRADES))))
    assert step.gap is None
    assert seqs(step.updates) == list(range(41, 101))


def test_what_the_history_no_longer_holds_is_a_gap() -> None:
    """From the first that is missing to the last, inclusive."""
    live = EventTopic(TRADES, history_size=10)
    for seq in range(1, 101):
        live.add(update(seq, TRADES))
    live.take()
    assert (
        live.step(View(SPEC, Cursor.at(update(40, TRADES)))).gap is None
    )  # while it is being shown
    live.settle()
    step = live.step(View(SPEC, Cursor.at(update(40, TRADES))))
    assert step.gap == ("e", 41, 90, "overflow")
    assert seqs(step.updates) == list(range(91, 101))


def test_catching_up_stops_where_the_others_stand() -> None:
    """What waits for the next flush comes with it, and a gap ends there as well."""
    live = EventTopic(TRADES, history_size=3)
    for seq in range(1, 5):
        live.add(update(seq, TRADES))
    live.take()
    shown = live.emitted
    assert shown is not None
    live.add(update(5, TRADES))
    assert seqs(live.catch_up(SPEC, Cursor.at(update(2, TRADES)), shown).updates) == [3, 4]
    live.add(Update(TRADES, Position("e", 6), trades(1, 2, 3), server_ms=0))
    live.settle()
    step = live.catch_up(SPEC, Cursor.at(update(2, TRADES)), shown)
    assert (step.gap, step.updates) == (("e", 3, 4, "overflow"), [])


def candles(live: LiveTopic, finals: set[int], until: int) -> None:
    for seq in range(1, until + 1):
        data = candle(seq, final=seq in finals)
        live.add(Update(CANDLES, Position("e", seq), data, server_ms=0))
    live.take()


def test_final_candles_are_all_shown_and_of_the_forming_one_the_newest_state() -> None:
    """A final candle never stands in for a forming one, nor the other way round."""
    live = EventTopic(CANDLES, history_size=10)
    candles(live, {3, 6}, 8)
    assert seqs(live.step(View(SPEC, Cursor.at(update(1, CANDLES)))).updates) == [3, 6, 8]
    assert live.step(View(SPEC, Cursor.at(update(1, CANDLES)))).gap is None
    live = EventTopic(CANDLES, history_size=10)
    candles(live, {3, 6}, 6)
    assert seqs(live.step(View(SPEC, Cursor.at(update(1, CANDLES)))).updates) == [3, 6]


def test_a_newcomer_to_candles_is_shown_the_newest_after_the_history_it_asked_for() -> None:
    """Without a history, the newest alone."""
    live = EventTopic(CANDLES, history_size=10)
    candles(live, {2, 4, 6}, 7)
    assert live.emitted is not None
    for history, shown in ((0, [7]), (2, [4, 6, 7]), (9, [2, 4, 6, 7])):
        beginning = live.beginning(Cursor.at(live.emitted), history)
        assert seqs(live.catch_up(SPEC, beginning, live.emitted).updates) == shown


def test_a_newcomer_to_trades_begins_at_the_place_of_the_others_or_before_its_history() -> None:
    """The history is rounded up to what was published together."""
    live = EventTopic(TRADES, history_size=100)
    assert live.beginning(None, 5) is None
    for seq in range(1, 6):
        data = trades(seq, seq) if seq == 3 else trades(seq)
        live.add(Update(TRADES, Position("e", seq), data, server_ms=0))
    live.take()
    live.add(update(6, TRADES))
    assert live.emitted is not None
    for history, seq in ((0, 5), (1, 4), (2, 3), (3, 2), (4, 2), (99, 0)):
        beginning = live.beginning(Cursor.at(live.emitted), history)
        assert beginning is not None
        assert beginning.position.seq == seq


def test_another_epoch_is_a_gap_of_unknown_length() -> None:
    """Numbers of two epochs can't be compared."""
    live = EventTopic(TRADES, history_size=100)
    for shown in (update(7, TRADES), update(1, TRADES, "f"), update(2, TRADES, "f")):
        live.add(shown)
    live.take()
    step = live.step(View(SPEC, Cursor.at(update(7, TRADES))))
    assert step.gap == ("f", None, None, "epoch")
    assert seqs(step.updates) == [1, 2]


def test_what_surely_came_is_told_by_when_it_came_here() -> None:
    """Whatever the clock of whoever published it says."""
    now = [100.0]
    live = StateTopic(AAPL, 10, keeps_all=True, clock=lambda: now[0])
    for seq, moment in ((1, 100.0), (2, 101.0), (3, 102.0)):
        now[0] = moment
        live.add(msgspec.structs.replace(update(seq), server_ms=1e15))
    live.take()
    view = live.view(SPEC._replace(every=True))
    view.shown_at = 102.0
    surely = live.surely(view, 101.5)
    assert surely is not None
    assert surely.position.seq == 2
    assert live.surely(view, 99.0) is None
    assert live.surely(view, 102.0) is view.cursor
