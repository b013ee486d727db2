from bookcast.engine.interests import Interests
from bookcast.hub.topic import LiveTopic
from bookcast.hub.view import View
from bookcast.hub.view_spec import ViewSpec
from bookcast.model.cursor import Cursor
from bookcast.model.topic_log import LogRules
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Update
from tests.support import AAPL, CANDLES, TRADES, candle, update

SPEC = ViewSpec("v1", "AAPL")
EVERY = ViewSpec("base", "AAPL", lossless=True)


def live_topic(topic: Topic = AAPL, rules: LogRules = LogRules()) -> LiveTopic:  # noqa: B008 - it can't change
    return LiveTopic(Interests(rules.log_of, lambda _topic, _want: None).open(topic))


def flush(live: LiveTopic, *seqs: int) -> LiveTopic:
    for seq in seqs:
        live.log.append(update(seq, live.topic))
    live.log.flush()
    return live


def at(seq: int, topic: Topic = AAPL) -> Cursor:
    return Cursor.at(update(seq, topic))


def seqs(updates: object) -> list[int]:
    assert isinstance(updates, list | tuple)
    return [shown.position.seq for shown in updates]


def newest(live: LiveTopic) -> Update:
    assert live.log.flushed is not None
    return live.log.flushed


def test_a_flush_shows_a_view_all_states_or_with_an_interval_the_newest() -> None:
    """And nothing of what came before it."""
    live = flush(live_topic(), 1, 2)
    assert seqs(live.step(View(SPEC, None)).updates) == [1, 2]
    assert seqs(live.step(View(SPEC._replace(interval_ms=100), None)).updates) == [2]


def test_a_flush_shows_all_trades_since_the_last_one() -> None:
    """From where the view stands."""
    live = flush(live_topic(TRADES), *range(1, 101))
    assert seqs(live.step(View(SPEC, at(40, TRADES))).updates) == list(range(41, 101))


def test_equal_specs_share_a_view() -> None:
    """A view is made once per spec."""
    live = live_topic()
    views = [live.view(ViewSpec("base", name)) for name in ("A", "A", "B")]
    assert views[0] is views[1]
    assert views[0] is not views[2]


def test_a_view_of_every_book_has_them_kept() -> None:
    """From where it begins."""
    live = flush(live_topic(), 1, 2)
    view = live.view(EVERY)
    flush(live, 3, 4)
    assert seqs(live.step(view).updates) == [3, 4]
    assert seqs(live.catch_up(EVERY, at(2), newest(live)).updates) == [3, 4]
    assert seqs(live.catch_up(EVERY, None, newest(live)).updates) == [4]


def test_a_newcomer_to_trades_begins_where_the_others_are_or_before_its_history() -> None:
    """To a state it begins with the whole of it."""
    live = live_topic(TRADES)
    assert live.beginning(None, 5) is None
    flush(live, *range(1, 6))
    cursor = at(5, TRADES)
    for history, seq in ((0, 5), (1, 4), (3, 2), (99, 0)):
        beginning = live.beginning(cursor, history)
        assert beginning is not None
        assert beginning.position.seq == seq
    assert flush(live_topic(), 1).beginning(at(1), 0) is None


def test_a_newcomer_to_candles_is_shown_the_newest_after_the_history_it_asked_for() -> None:
    """Without a history, the newest alone."""
    live = live_topic(CANDLES)
    for seq in range(1, 8):
        data = candle(seq, final=seq in {2, 4, 6})
        live.log.append(Update(CANDLES, Position("e", seq), data, server_ms=0))
    live.log.flush()
    for history, shown in ((0, [7]), (2, [4, 6, 7]), (9, [2, 4, 6, 7])):
        beginning = live.beginning(at(7, CANDLES), history)
        assert seqs(live.catch_up(SPEC, beginning, newest(live)).updates) == shown


def test_who_comes_back_goes_on_from_what_it_has() -> None:
    """Of a state that nobody has any more, from the whole one."""
    cursor, place = at(5), Cursor(Position("e", 3))
    book = flush(live_topic(), 4, 5)
    assert book.resuming(SPEC, cursor, Cursor(Position("e", 5))) is cursor
    assert book.resuming(SPEC, cursor, at(3)) == at(3)
    assert book.resuming(SPEC, cursor, place) is None
    assert book.resuming(SPEC, cursor, None) is None
    trade = flush(live_topic(TRADES), 4, 5)
    assert trade.resuming(SPEC, at(5, TRADES), place) == place
    assert trade.resuming(SPEC, at(5, TRADES), None) == at(5, TRADES)


def test_who_is_to_see_every_book_and_has_nobody_knows_what_begins_with_all_that_is_kept() -> None:
    """Rather twice than not at all."""
    live = live_topic(rules=LogRules(keeps_books=True))
    flush(live, 4, 5)
    assert live.resuming(EVERY, at(5), None) == Cursor(Position("e", 3))
    assert live.resuming(EVERY, at(5), Cursor(Position("e", 4))) == Cursor(Position("e", 4))


def test_what_was_delivered_before_a_moment_is_told_by_when_it_was_flushed() -> None:
    """Where every book counts; else it is what was shown last, or nobody knows."""
    now = [100.0]
    live = live_topic(rules=LogRules(keeps_books=True, clock=lambda: now[0]))
    for seq, moment in ((1, 100.0), (2, 101.0), (3, 102.0)):
        now[0] = moment
        live.log.append(update(seq))
        live.log.flush()
    lossless, plain = live.view(EVERY), live.view(SPEC)
    lossless.shown_at = plain.shown_at = 102.0
    delivered = live.delivered(lossless, 101.5)
    assert delivered is not None
    assert delivered.position.seq == 2
    assert live.delivered(lossless, 99.0) is None
    assert live.delivered(plain, 101.5) is None
    assert live.delivered(lossless, 102.0) is lossless.cursor
    trade = flush(live_topic(TRADES), 1)
    assert trade.delivered(trade.view(SPEC), 0.0) == at(1, TRADES)


def test_a_view_can_be_behind_what_somebody_has() -> None:
    """Of whom nobody knows what they have, they have all that was shown here."""
    live = flush(live_topic(), 1)
    live.view(SPEC)
    flush(live, 2)
    assert live.is_behind(SPEC, at(2))
    assert live.is_behind(SPEC, None)
    assert not live.is_behind(SPEC, at(1))
    assert not live.is_behind(EVERY, at(9))


def test_what_cannot_be_read_when_a_topic_is_first_seen_is_told() -> None:
    """It is the newest, and nobody else could tell."""
    interests = Interests(LogRules().log_of, lambda _topic, _want: None)
    interest = interests.open(AAPL)
    interest.log.append(update(1))
    interest.log.skip(Position("e", 2))
    live = LiveTopic(interest)
    assert live.missing_after(at(1)) == ("e", 2, 2, "unreadable")
    assert live.missing_after(at(2)) is None
    live.forget()
    assert (live.untold, live.unreadable) == (False, None)
