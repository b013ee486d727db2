from bookcast.model.history import History
from bookcast.model.updates import Position, Update
from tests.support import CANDLES, TRADES, candle, trades, update


def history(size: int, *seqs: int, epoch: str = "e") -> History:
    kept = History(size)
    for seq in seqs:
        kept.append(update(seq, TRADES, epoch))
    kept.trim()
    return kept


def seqs(updates: list[Update]) -> list[int]:
    return [kept.position.seq for kept in updates]


def test_what_came_after_a_position_is_given_in_order() -> None:
    """With no position, all there is."""
    kept = history(10, 1, 2, 3)
    assert [seqs(kept.after(Position("e", seq))[1]) for seq in (0, 1, 3)] == [[1, 2, 3], [2, 3], []]
    assert seqs(kept.after(None)[1]) == [1, 2, 3]


def test_the_oldest_make_room_and_are_a_gap_for_whom_they_are_missing() -> None:
    """Who has seen them misses nothing."""
    kept = history(2, 1, 2, 3, 4)
    assert kept.after(Position("e", 0))[0] == ("e", 1, 2, "overflow")
    assert kept.after(Position("e", 2))[0] is None


def test_a_trade_counts_as_one_however_they_were_published() -> None:
    """What was published last is kept, even when it is longer than the bound."""
    kept = history(3, 1, 2)
    kept.append(Update(TRADES, Position("e", 3), trades(*range(5)), server_ms=0))
    assert kept.after(Position("e", 0))[0] is None  # until it is trimmed
    kept.trim()
    gap, updates = kept.after(Position("e", 0))
    assert (gap, seqs(updates)) == (("e", 1, 2, "overflow"), [3])


def test_what_never_came_is_a_gap_as_well() -> None:
    """A hole in the numbers is told to everybody who stands before it."""
    kept = history(10, 1, 2, 5)
    assert kept.after(Position("e", 2)) == (("e", 3, 4, "history"), [update(5, TRADES)])
    assert kept.after(Position("e", 4))[0] is None


def test_only_final_candles_stand_in_a_history_and_their_numbers_have_holes() -> None:
    """The forming states between them are no loss."""
    kept = History(10)
    for seq in (3, 7):
        kept.append(Update(CANDLES, Position("e", seq), candle(seq, final=True), server_ms=0))
    assert seqs(kept.after(Position("e", 3))[1]) == [7]
    assert kept.after(Position("e", 3))[0] is None


def test_another_epoch_begins_anew() -> None:
    """What belongs to the old one is a gap of unknown length."""
    kept = history(10, 1, 2)
    kept.append(update(1, TRADES, "f"))
    assert kept.after(Position("e", 2)) == (("f", None, None, "epoch"), [update(1, TRADES, "f")])
    assert kept.after(Position("f", 0))[0] is None


def test_the_newest_up_to_a_position_are_rounded_up_to_whole_publications() -> None:
    """Asking for none gives none."""
    kept = history(100, 1, 2)
    kept.append(Update(TRADES, Position("e", 3), trades(8, 9), server_ms=0))
    kept.append(update(4, TRADES))
    until = Position("e", 4)
    assert [seqs(kept.newest(n, until)) for n in (0, 1, 2, 3, 9)] == [
        [],
        [4],
        [3, 4],
        [3, 4],
        [1, 2, 3, 4],
    ]
    assert seqs(kept.newest(1, Position("e", 2))) == [2]


def test_a_full_log_of_candles_may_lack_older_ones() -> None:
    """Their numbers have holes, so that nothing else shows it to who begins with what is kept."""
    full, room = History(2), History(3)
    for seq in (5, 9):
        full.append(Update(CANDLES, Position("e", seq), candle(seq, final=True), server_ms=0))
        room.append(Update(CANDLES, Position("e", seq), candle(seq, final=True), server_ms=0))
    assert full.after(Position("e", 2))[0] == ("e", 3, 4, "history")
    assert [full.after(Position("e", seq))[0] for seq in (4, 5, 8, 9)] == [None] * 4
    assert room.after(Position("e", 2))[0] is None
    assert full.after(None)[0] is None


def test_what_nobody_here_asked_for_is_not_called_too_much() -> None:
    """It was before somebody asked, and nobody knows what else was."""
    kept = history(2, 1, 2, 3, 4)
    kept.begin_anew()
    assert kept.after(Position("e", 0))[0] == ("e", 1, 2, "history")
    empty = history(2)
    empty.begin_anew()
    assert empty.after(None) == (None, [])
    finals = History(2)
    for seq in (2, 4, 6):
        finals.append(Update(CANDLES, Position("e", seq), candle(seq, final=True), server_ms=0))
    finals.trim()
    finals.begin_anew()
    assert finals.after(Position("e", 1))[0] == ("e", 2, 3, "history")
    assert finals.after(Position("e", 3))[0] is None


def at(epoch: str, seq: int, *, final: bool = False, restored: bool = False) -> Update:
    data = candle(seq, final=final)
    return Update(CANDLES, Position(epoch, seq), data, server_ms=0, engine_restored=restored)


def test_a_forming_candle_of_another_epoch_ends_what_is_kept() -> None:
    """Who is still in that epoch gets it; who isn't has no part in it."""
    kept = History(10)
    for seq in (1, 2):
        kept.append(at("e", seq, final=True))
    kept.begin(at("f", 1))
    assert seqs(kept.after(Position("e", 1))[1]) == [2]
    assert kept.after(Position("f", 1)) == (None, [])
    kept.append(at("f", 2, final=True))
    gap, newer = kept.after(Position("e", 1))
    assert (gap, seqs(newer)) == (("f", None, None, "epoch"), [2])


def test_an_epoch_that_comes_back_has_what_comes_since() -> None:
    """Its first update tells why, though it is forming; who never left it is told what is lost."""
    kept = History(10)
    kept.append(at("e", 1, final=True))
    kept.begin(at("local", 1))
    kept.begin(at("e", 5, restored=True))
    assert kept.after(Position("local", 1)) == (("e", None, None, "engine_restored"), [])
    assert kept.after(Position("e", 1)) == (("e", 2, 4, "history"), [])
    assert kept.after(Position("e", 4)) == (None, [])
    kept.append(at("e", 6, final=True))
    gap, newer = kept.after(Position("local", 1))
    assert (gap, seqs(newer)) == (("e", None, None, "engine_restored"), [6])
    gap, newer = kept.after(Position("e", 1))
    assert (gap, seqs(newer)) == (("e", 2, 4, "history"), [6])


def test_what_is_lost_of_an_epoch_is_nothing_to_the_next() -> None:
    """However often it comes back in between."""
    kept = History(10)
    kept.append(at("e", 1, final=True))
    for epoch, seq in (("local", 5), ("e", 5), ("f", 1)):
        kept.begin(at(epoch, seq))
    kept.append(at("f", 6, final=True))
    gap, newer = kept.after(Position("f", 1))
    assert (gap, seqs(newer)) == (None, [6])


def outage_of_candles() -> History:
    """Final candles 1 to 4 of an epoch, one of an outage instead, then the epoch again, forming."""
    kept = history_of_candles("e", 1, 4)
    kept.append(at("local", 1, final=True))
    kept.begin(at("e", 9, restored=True))
    return kept


def history_of_candles(epoch: str, *seqs: int) -> History:
    kept = History(10)
    for seq in seqs:
        kept.append(at(epoch, seq, final=True))
    return kept


def test_final_candles_that_an_outage_had_replaced_are_not_lost_silently() -> None:
    """Until they are read again, who lacks some is told."""
    kept = outage_of_candles()
    for _ in range(2):
        gap, newer = kept.after(Position("e", 2))
        assert gap == ("e", 3, 8, "history")
        assert kept.after(Position("e", 8))[0] is None
        kept.append(at("e", 10, final=True))
    assert seqs(newer) == [10]


def test_final_candles_that_an_outage_had_replaced_are_kept_again() -> None:
    """Though only forming ones came since. Who comes from the outage isn't sent them again."""
    kept = outage_of_candles()
    kept.refill([at("e", seq, final=True) for seq in (1, 4, 7, 10)])
    kept.append(at("e", 10, final=True))
    gap, newer = kept.after(Position("e", 2))
    assert (gap, seqs(newer)) == (None, [4, 7, 10])
    gap, newer = kept.after(Position("local", 1))
    assert (gap, seqs(newer)) == (("e", None, None, "engine_restored"), [10])


def test_where_there_were_no_final_candles_before_an_outage_none_are_missed() -> None:
    """What Redis has begins after it."""
    kept = outage_of_candles()
    kept.refill([at("e", 10, final=True)])
    kept.append(at("e", 10, final=True))
    gap, newer = kept.after(Position("e", 2))
    assert (gap, seqs(newer)) == (None, [10])


def test_an_epoch_that_comes_back_with_a_final_candle_shows_none_twice() -> None:
    """Those before it came to the clients before the other epoch did."""
    kept = History(10)
    for seq in (1, 2):
        kept.append(at("e", seq, final=True))
    kept.begin(at("local", 1))
    kept.append(at("e", 5, final=True, restored=True))
    gap, newer = kept.after(Position("local", 1))
    assert (gap, seqs(newer)) == (("e", None, None, "engine_restored"), [5])
    gap, newer = kept.after(Position("e", 1))
    assert (gap, seqs(newer)) == (("e", 2, 4, "history"), [5])


def test_why_an_epoch_began_is_told_by_its_first_update() -> None:
    """A later one may be the newest by then."""
    kept = History(10)
    kept.begin(at("e", 1))
    kept.begin(at("f", 1, restored=True))
    kept.begin(at("f", 2))
    assert kept.break_into(at("f", 2)) == "engine_restored"
    assert kept.break_into(at("g", 1)) == "epoch"


def test_what_was_kept_before_another_epoch_can_be_kept_again() -> None:
    """Who comes from that epoch was shown it; who is older or new gets it."""
    kept = history(4, 1, 2, 3)
    for seq in (1, 2):
        kept.append(update(seq, TRADES, "local"))
    kept.append(update(4, TRADES))
    past = [update(seq, TRADES) for seq in (1, 2, 3, 4)]
    kept.refill(past)
    assert seqs(list(kept.updates)) == [1, 2, 3, 4]
    gap, newer = kept.after(Position("local", 2))
    assert (gap, seqs(newer)) == (("e", None, None, "epoch"), [4])
    gap, newer = kept.after(Position("e", 2))
    assert (gap, seqs(newer)) == (None, [3, 4])
    kept.append(update(5, TRADES))
    kept.trim()
    kept.refill(past)  # no more than the bound
    assert seqs(list(kept.updates)) == [2, 3, 4, 5]
    kept.refill([update(9, TRADES, "other")])
    assert seqs(list(kept.updates)) == [2, 3, 4, 5]
