"""What one node shows of a topic."""

from __future__ import annotations

import msgspec
import pytest

from bookcast.model.cursor import Cursor
from bookcast.model.topic_log import MAX_WAITING, EventLog, LogRules, StateLog, TopicLog
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Update
from tests.support import AAPL, CANDLES, QUOTE, TRADES, candle, trades, update


def seqs(updates: object) -> list[int]:
    assert isinstance(updates, list | tuple)
    return [shown.position.seq for shown in updates]


def filled(log: TopicLog, *places: int) -> TopicLog:
    """Append updates, and flush them."""
    for seq in places:
        log.append(update(seq, log.topic))
    log.flush()
    return log


def flushed(log: TopicLog) -> Update:
    assert log.flushed is not None
    return log.flushed


def at(seq: int, topic: Topic = TRADES, epoch: str = "e") -> Cursor:
    return Cursor.at(update(seq, topic, epoch))


@pytest.mark.parametrize(
    ("topic", "kind"),
    [(AAPL, StateLog), (QUOTE, StateLog), (TRADES, EventLog), (CANDLES, EventLog)],
)
def test_the_channel_decides_whether_every_update_counts(
    topic: Topic, kind: type[TopicLog]
) -> None:
    """Trades and candles do, the rest is a state."""
    log = LogRules(10, 10).log_of(topic)
    assert type(log) is kind
    assert log.conflates is (kind is StateLog)


def test_books_alone_are_kept_before_somebody_wants_every_one() -> None:
    """Where the rules say so."""
    rules = LogRules(10, 10, keeps_books=True)
    for topic, keeps in ((AAPL, True), (QUOTE, False)):
        log = rules.log_of(topic)
        assert isinstance(log, StateLog)
        assert log.keeps_all is keeps


def test_states_wait_in_order_until_they_are_flushed() -> None:
    """A flush takes them, and the last is the newest that is flushed."""
    log = StateLog(AAPL, 100)
    for seq in (1, 2, 3):
        log.append(update(seq))
    assert (log.waiting_count(), log.flushed) == (3, None)
    assert log.flush() == (3, 0)
    assert seqs(log.taken) == [1, 2, 3]
    assert flushed(log).position.seq == 3
    assert log.flush() == (0, 0)
    assert flushed(log).position.seq == 3


def test_past_the_bound_the_newest_state_takes_the_last_place() -> None:
    """What waits is bounded, and always ends on the newest."""
    log = StateLog(AAPL, 100)
    for seq in range(1, 101):
        log.append(update(seq))
    assert log.flush() == (100, 100 - MAX_WAITING)
    assert seqs(log.taken) == [*range(1, MAX_WAITING), 100]


def test_a_log_that_nobody_reads_is_its_newest_state() -> None:
    """Nothing waits in it."""
    log = StateLog(AAPL, 100)
    for seq in range(1, 4):
        log.append(update(seq))
        log.flush_unread()
    assert (log.waiting_count(), seqs(log.taken), seqs(log.past())) == (0, [], [3])
    assert flushed(log) is log.newest


def test_of_a_state_the_newest_leads_on_from_anywhere() -> None:
    """What was before it doesn't count."""
    log = filled(StateLog(AAPL, 100), 1, 2, 3)
    for cursor in (None, at(1, AAPL), at(9, AAPL, "f")):
        assert seqs(log.since(cursor, flushed(log)).updates) == [3]
    assert log.start() is None
    assert log.last(5, flushed(log).position) == []


def test_every_book_is_kept_for_who_wants_it_and_no_longer() -> None:
    """From the newest that was flushed on; and those within the bound."""
    log = filled(StateLog(AAPL, 3), 1, 2)
    assert isinstance(log, StateLog)
    log.append(update(3))
    log.keep_all()
    log.keep_all()  # for another client
    filled(log, 4, 5)
    assert log.start() == Cursor(Position("e", 1))
    log.trim()
    step = log.since(at(2, AAPL), flushed(log))
    assert (step.gap, seqs(step.updates)) == (None, [3, 4, 5])
    assert log.since(at(1, AAPL), flushed(log)).gap == ("e", 2, 2, "overflow")
    log.release()
    assert seqs(log.past()) == [5]
    always = StateLog(AAPL, 3, keeps_all=True)
    always.release()
    assert seqs(filled(always, 1, 2).past()) == [1, 2]


def test_a_new_epoch_does_not_end_what_is_kept_of_books() -> None:
    """Each stands for itself, and who wants every one has no word for a gap."""
    log = StateLog(AAPL, 10, keeps_all=True)
    for epoch, places in (("e", (1, 2)), ("local", (1, 2)), ("e", (5, 6))):
        for seq in places:
            log.append(update(seq, AAPL, epoch))
    log.flush()
    for cursor, shown in (
        (at(1, AAPL), [2, 1, 2, 5, 6]),
        (at(2, AAPL, "local"), [5, 6]),
        (at(3, AAPL), [1, 2, 5, 6]),  # what it had seen elsewhere
        (at(6, AAPL), []),
    ):
        step = log.since(cursor, flushed(log))
        assert (step.gap, seqs(step.updates)) == (None, shown)
    step = log.since(at(1, AAPL, "other"), flushed(log))  # it came from another node
    assert (step.gap, seqs(step.updates)) == (("e", None, None, "epoch"), [1, 2, 5, 6])
    assert log.start() == Cursor(Position("e", 0))


def test_a_book_that_waits_is_not_shown_to_who_catches_up() -> None:
    """It comes with the flush."""
    log = StateLog(AAPL, 10, keeps_all=True)
    filled(log, 1, 2)
    log.append(update(3))
    assert seqs(log.since(at(1, AAPL), flushed(log)).updates) == [2]


def test_what_was_flushed_before_a_moment_is_told_by_the_clock_of_the_node() -> None:
    """Whatever the clock of whoever published it says."""
    now = [100.0]
    log = StateLog(AAPL, 10, keeps_all=True, clock=lambda: now[0])
    for seq, moment in ((1, 100.0), (2, 101.0), (3, 102.0)):
        now[0] = moment
        log.append(msgspec.structs.replace(update(seq), server_ms=1e15))
        log.flush()
    found = log.before(101.5)
    assert found is not None
    assert found.position.seq == 2
    assert log.before(99.0) is None
    assert EventLog(TRADES, 10).before(1e9) is None


def test_what_came_before_a_moment_and_was_flushed_after_it_was_not_shown_by_then() -> None:
    """A node that the operating system stops between the two shows it when it goes on."""
    now = [100.0]
    log = StateLog(AAPL, 10, keeps_all=True, clock=lambda: now[0])
    filled(log, 1, 1)
    log.append(update(2))
    now[0] = 105.0
    log.flush()
    found = log.before(104.0)
    assert found is not None
    assert found.position.seq == 1


def test_every_trade_is_shown_however_many_come_between_two_flushes() -> None:
    """None is displaced or forgotten before it was flushed, past any bound."""
    log = EventLog(TRADES, history_size=10)
    for seq in range(1, 101):
        log.append(update(seq, TRADES))
    assert log.flush() == (100, 0)
    step = log.since(at(40), flushed(log))
    assert (step.gap, seqs(step.updates)) == (None, list(range(41, 101)))
    log.trim()
    step = log.since(at(40), flushed(log))
    assert (step.gap, seqs(step.updates)) == (("e", 41, 90, "overflow"), list(range(91, 101)))


def test_where_nobody_reads_trades_are_trimmed_at_once() -> None:
    """A log holds no more than its history."""
    log = EventLog(TRADES, history_size=3)
    for seq in range(1, 6):
        log.append(update(seq, TRADES))
        log.flush_unread()
    assert (log.waiting_count(), seqs(log.past())) == (0, [3, 4, 5])


def test_catching_up_stops_where_the_others_stand() -> None:
    """What waits for the next flush comes with it, and a gap ends there as well."""
    log = filled(EventLog(TRADES, history_size=3), 1, 2, 3, 4)
    shown = flushed(log)
    log.append(update(5, TRADES))
    assert seqs(log.since(at(2), shown).updates) == [3, 4]
    log.append(Update(TRADES, Position("e", 6), trades(1, 2, 3), server_ms=0))
    log.trim()
    step = log.since(at(2), shown)
    assert (step.gap, step.updates) == (("e", 3, 4, "overflow"), [])


def candles(finals: set[int], until: int) -> EventLog:
    log = EventLog(CANDLES, history_size=10)
    for seq in range(1, until + 1):
        data = candle(seq, final=seq in finals)
        log.append(Update(CANDLES, Position("e", seq), data, server_ms=0))
    return log


def test_final_candles_are_all_shown_and_of_the_forming_one_the_newest_state() -> None:
    """A final candle never stands in for a forming one, nor the other way round."""
    for until, shown, displaced in ((8, [3, 6, 8], 5), (6, [3, 6], 4)):
        log = candles({3, 6}, until)
        assert log.flush() == (until, displaced)
        step = log.since(at(1, CANDLES), flushed(log))
        assert (step.gap, seqs(step.updates)) == (None, shown)


def test_the_newest_trades_are_as_complete_as_they_were_published() -> None:
    """Up to a place: what waits isn't among them."""
    log = EventLog(TRADES, history_size=100)
    for seq in range(1, 6):
        data = trades(seq, seq) if seq == 3 else trades(seq)
        log.append(Update(TRADES, Position("e", seq), data, server_ms=0))
    log.flush()
    place = flushed(log).position
    log.append(update(6, TRADES))
    for count, found in ((0, []), (1, [5]), (2, [4, 5]), (3, [3, 4, 5]), (4, [3, 4, 5])):
        assert seqs(log.last(count, place)) == found


def test_another_epoch_forgets_the_one_before_and_is_a_gap_of_unknown_length() -> None:
    """Numbers of two epochs can't be compared; the reason is kept."""
    for restored, reason in ((False, "epoch"), (True, "engine_restored")):
        log = filled(EventLog(TRADES, history_size=100), 7)
        first = msgspec.structs.replace(update(1, TRADES, "f"), engine_restored=restored)
        for new in (first, update(2, TRADES, "f")):
            log.append(new)
        log.flush()
        step = log.since(at(7), flushed(log))
        assert (step.gap, seqs(step.updates)) == (("f", None, None, reason), [1, 2])
        assert log.start() == Cursor(Position("f", 0))


def test_what_happened_before_anybody_asked_does_not_wait() -> None:
    """Until something newer came: leaving it out then would be a hole."""
    log = EventLog(TRADES, history_size=100)
    past = [msgspec.structs.replace(update(seq, TRADES), backfill=True) for seq in (1, 2, 4)]
    log.append(past[0])
    log.append(past[1])
    assert (log.waiting_count(), log.remembered) == (0, past[1])
    log.append(update(3, TRADES))
    log.append(past[2])
    assert (log.waiting_count(), log.remembered) == (2, past[1])


def test_an_update_that_cannot_be_read_is_known_until_the_next_one_comes() -> None:
    """Where every update counts it is missing after that, too."""
    log = filled(EventLog(TRADES, history_size=100), 1)
    log.skip(Position("e", 2))
    assert log.unreadable == Position("e", 2)
    filled(log, 3)
    assert log.unreadable is None
    assert log.since(at(1), flushed(log)).gap == ("e", 2, 2, "unreadable")
    state = filled(StateLog(AAPL, 10), 1)
    state.skip(Position("e", 2))
    assert state.unreadable == Position("e", 2)


@pytest.mark.parametrize("topic", [AAPL, TRADES])
def test_a_removed_topic_has_no_past(topic: Topic) -> None:
    """What comes next is the first."""
    log = filled(LogRules(keeps_books=True).log_of(topic), 1, 2)
    log.append(update(3, topic))
    log.clear()
    assert (log.newest, log.flushed, log.past(), log.start()) == (None, None, [], None)
    assert log.waiting_count() == 0
    assert seqs(filled(log, 1).past()) == [1]
