"""What a node knows of a topic, whatever becomes of the messages."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bookcast.engine.redis.gap_detector import GapDetector, KnownTopic
from bookcast.engine.redis.records import Unreadable
from bookcast.model.topic_log import LogRules
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Update
from tests.budget import examples
from tests.support import AAPL, TRADES, update

PLENTY = 1000


def followed(topic: Topic = TRADES, *seqs: int, size: int = PLENTY) -> GapDetector:
    """Make a mirror that has read a topic with this history."""
    gap_detector = GapDetector(size, LogRules().log_of)
    assert gap_detector.follow(topic)
    gap_detector.read(topic, known(topic, *seqs))
    return gap_detector


def known(topic: Topic, *seqs: int, epoch: str = "e") -> KnownTopic:
    updates = [update(seq, topic, epoch) for seq in seqs]
    return KnownTopic(updates[-1] if updates else None, updates)


def updates(*seqs: int, topic: Topic = TRADES, epoch: str = "e") -> list[Update]:
    return [update(seq, topic, epoch) for seq in seqs]


def test_a_topic_is_known_once_it_was_read() -> None:
    """Also where there was nothing to read."""
    gap_detector = GapDetector(PLENTY, LogRules().log_of)
    assert gap_detector.follow(AAPL)
    assert not gap_detector.follow(AAPL)
    assert AAPL not in gap_detector
    assert gap_detector.read(AAPL, KnownTopic(None)) == ([], False)
    assert AAPL in gap_detector
    assert (len(gap_detector), gap_detector.topics()) == (1, [AAPL])
    assert (gap_detector.position(AAPL), gap_detector.newest(AAPL)) == (None, None)
    gap_detector.forget(AAPL)
    assert AAPL not in gap_detector
    assert len(gap_detector) == 0


def test_nothing_is_known_of_what_is_not_followed() -> None:
    """Messages about it are no news."""
    gap_detector = GapDetector(PLENTY, LogRules().log_of)
    assert gap_detector.hear(AAPL, updates(1, topic=AAPL)) == ([], False)
    assert gap_detector.read(AAPL, known(AAPL, 1)) == ([], False)
    assert not gap_detector.must_read(AAPL)
    gap_detector.give_up(AAPL)
    assert (gap_detector.position(AAPL), gap_detector.newest(AAPL)) == (None, None)


def test_what_continues_is_news() -> None:
    """So is the first that there ever was."""
    gap_detector = followed()
    assert gap_detector.hear(TRADES, updates(1, 2)) == (updates(1, 2), False)
    assert gap_detector.hear(TRADES, updates(3)) == (updates(3), False)
    assert gap_detector.position(TRADES) == Position("e", 3)


def test_what_came_before_is_no_news() -> None:
    """A message that comes twice changes nothing, one that overlaps tells what is new in it."""
    gap_detector = followed(TRADES, 1, 2, 3)
    assert gap_detector.hear(TRADES, updates(2, 3)) == ([], False)
    assert gap_detector.hear(TRADES, updates(3, 4)) == (updates(4), False)


@pytest.mark.parametrize("heard", [updates(5), updates(4, epoch="1-f")])
def test_a_hole_or_another_epoch_makes_it_read(heard: list[Update]) -> None:
    """Until that is done, nothing is delivered; then all of it is, in order."""
    gap_detector = followed(TRADES, 1, 2, 3)
    assert gap_detector.hear(TRADES, heard) == ([], True)
    assert TRADES not in gap_detector
    assert gap_detector.hear(TRADES, updates(6)) == ([], False)
    assert gap_detector.newest(TRADES) == update(3, TRADES)
    news, missing = gap_detector.read(TRADES, known(TRADES, 4, 5))
    assert (news, missing) == (updates(4, 5, 6), False)


def test_what_comes_while_it_is_read_waits() -> None:
    """What was read already is dropped; where a hole remains, it is read once more."""
    gap_detector = GapDetector(PLENTY, LogRules().log_of)
    gap_detector.follow(TRADES)
    for seq in (2, 3, 5):
        assert gap_detector.hear(TRADES, updates(seq)) == ([], False)
    assert gap_detector.read(TRADES, known(TRADES, 1, 2)) == (updates(1, 2, 3), True)
    assert gap_detector.read(TRADES, known(TRADES, 4, 5)) == (updates(4, 5), False)


def test_an_epoch_that_began_while_it_was_read_makes_it_read_once_more() -> None:
    """Nobody can tell which of both is the newer one."""
    gap_detector = GapDetector(PLENTY, LogRules().log_of)
    gap_detector.follow(TRADES)
    gap_detector.hear(TRADES, updates(2, epoch="1-f"))
    assert gap_detector.read(TRADES, known(TRADES, 1)) == (updates(1), True)
    found = known(TRADES, 2, epoch="1-f")
    assert gap_detector.read(TRADES, found) == (updates(2, epoch="1-f"), False)


def test_of_what_waits_the_oldest_make_room() -> None:
    """They will be in what is read, or it is read again."""
    gap_detector = GapDetector(3, LogRules().log_of)
    gap_detector.follow(AAPL)
    for seq in range(1, 10):
        gap_detector.hear(AAPL, updates(seq, topic=AAPL))
    news, missing = gap_detector.read(AAPL, known(AAPL, 2))
    assert ([one.position.seq for one in news], missing) == ([2], True)


def test_a_topic_that_cannot_be_read_stands_as_it_is() -> None:
    """What comes next shows what is missing."""
    gap_detector = followed(TRADES, 1)
    assert gap_detector.must_read(TRADES)
    assert not gap_detector.must_read(TRADES)
    gap_detector.hear(TRADES, updates(2))
    gap_detector.give_up(TRADES)
    assert gap_detector.position(TRADES) == Position("e", 1)
    assert gap_detector.hear(TRADES, updates(3)) == ([], True)


def test_an_older_state_that_was_read_is_no_news() -> None:
    """The answer may be from before the newest message."""
    gap_detector = followed(TRADES, 1, 2, 3)
    gap_detector.must_read(TRADES)
    assert gap_detector.read(TRADES, known(TRADES, 1, 2)) == ([], False)
    assert gap_detector.position(TRADES) == Position("e", 3)


def test_what_redis_has_of_an_earlier_epoch_is_no_news() -> None:
    """It has lost what came since; what it says in a later one counts."""
    gap_detector = GapDetector(PLENTY, LogRules().log_of)
    gap_detector.follow(TRADES)
    gap_detector.read(TRADES, known(TRADES, 8, 9, epoch="200-a"))
    assert gap_detector.must_read(TRADES)
    assert gap_detector.read(TRADES, known(TRADES, 3, 40, epoch="100-b")) == ([], False)
    assert gap_detector.position(TRADES) == Position("200-a", 9)
    assert gap_detector.must_read(TRADES)
    later = known(TRADES, 3, 4, epoch="300-c")
    assert gap_detector.read(TRADES, later) == (list(later.history), False)


def test_what_redis_was_told_again_is_no_news_but_has_another_place() -> None:
    """It had lost it; what comes next continues from there."""
    gap_detector = followed(AAPL, 7)
    again = msgspec.structs.replace(update(7, AAPL), position=Position("1-new", 1))
    next_ = update(2, AAPL, "1-new")
    assert gap_detector.hear(AAPL, [again]) == ([], True)
    assert gap_detector.read(AAPL, KnownTopic(again)) == ([], False)
    assert gap_detector.position(AAPL) == Position("1-new", 1)
    assert gap_detector.hear(AAPL, [next_]) == ([next_], False)
    later = msgspec.structs.replace(next_, position=Position("2-newer", 2), server_ms=99.0)
    assert gap_detector.hear(AAPL, [later]) == ([], True)
    assert gap_detector.read(AAPL, KnownTopic(later)) == ([later], False)


class Read(NamedTuple):
    """A read that is under way: asked after a position, answered by then or not yet."""

    after: Position | None
    found: KnownTopic | None


class World:
    """A publisher, messages under way, and a mirror that reads when it has to."""

    def __init__(self, topic: Topic, size: int) -> None:
        self.topic, self.size = topic, size
        self.times = itertools.count()
        self.epochs = ["1-e"]
        self.first = {"1-e": 1}
        self.newest: Update | None = None
        self.history: list[Update] = []
        self.messages: list[list[Update]] = []
        self.gap_detector = GapDetector(size, LogRules().log_of)
        self.gap_detector.follow(topic)
        self.reading: Read | None = Read(None, None)
        self.delivered: list[Update] = []

    def publish(self, count: int) -> None:
        seq = self.newest.position.seq if self.newest is not None else 0
        if self.newest is not None and self.newest.position.epoch != self.epochs[-1]:
            self.history.clear()
            if self.first[self.epochs[-1]] == 1:
                seq = 0
        message = [
            msgspec.structs.replace(
                update(number, self.topic, self.epochs[-1]), server_ms=float(next(self.times))
            )
            for number in range(seq + 1, seq + count + 1)
        ]
        if self.topic.channel == "trades":
            self.history = [*self.history, *message][-self.size :]
        self.newest = message[-1]
        self.messages.append(message)

    def begin_anew(self, *, from_one: bool) -> None:
        """Begin another epoch with the next update."""
        if self.newest is not None and self.newest.position.epoch == self.epochs[-1]:
            epoch = f"{len(self.epochs) + 1}-e"
            self.epochs.append(epoch)
            self.first[epoch] = 1 if from_one else self.newest.position.seq + 1

    def hear(self, index: int, *, again: bool) -> None:
        if self.messages:
            index %= len(self.messages)
            message = self.messages[index] if again else self.messages.pop(index)
            news, missing = self.gap_detector.hear(self.topic, message)
            self.deliver(news, missing=missing)

    def lose(self, index: int) -> None:
        if self.messages:
            del self.messages[index % len(self.messages)]

    def deliver(self, news: Sequence[Update | Unreadable], *, missing: bool) -> None:
        self.delivered += [one for one in news if isinstance(one, Update)]
        if missing:
            assert self.reading is None
            self.reading = Read(self.gap_detector.position(self.topic), None)

    def answer(self) -> None:
        """What ``read.lua`` does."""
        if self.reading is None or self.reading.found is not None:
            return
        after = self.reading.after
        history = self.history
        if self.newest is not None and after is not None:
            same = after.epoch == self.newest.position.epoch
            history = [one for one in history if not same or one.position.seq > after.seq]
        self.reading = Read(after, KnownTopic(self.newest, list(history)))

    def read(self) -> None:
        if self.reading is not None and self.reading.found is not None:
            found, self.reading = self.reading.found, None
            news, missing = self.gap_detector.read(self.topic, found)
            self.deliver(news, missing=missing)

    def audit(self) -> None:
        """Compare what there is with what is known."""
        newest = self.newest.position if self.newest is not None else None
        if newest != self.gap_detector.position(self.topic) and self.gap_detector.must_read(
            self.topic
        ):
            self.deliver([], missing=True)

    def reconnect(self) -> None:
        """Lose all that is under way."""
        self.messages.clear()
        if self.gap_detector.must_read(self.topic):
            self.deliver([], missing=True)

    def give_up(self) -> None:
        """Be refused an answer."""
        if self.reading is not None:
            self.reading = None
            self.gap_detector.give_up(self.topic)

    def settle(self) -> None:
        for _ in range(10):
            self.audit()
            self.answer()
            self.read()
        assert self.reading is None

    def check(self) -> None:
        newest = self.newest.position if self.newest is not None else None
        assert self.gap_detector.position(self.topic) == newest
        assert (self.delivered[-1].position if self.delivered else None) == newest
        begun = [self.epochs.index(one.position.epoch) for one in self.delivered]
        assert begun == sorted(begun)
        for epoch in self.epochs:
            seqs = [one.position.seq for one in self.delivered if one.position.epoch == epoch]
            assert seqs == sorted(set(seqs))
            if seqs and self.topic.channel == "trades" and self.size == PLENTY:
                assert seqs == list(range(self.first[epoch], seqs[-1] + 1))
        assert self.gap_detector.newest(self.topic) == (
            self.delivered[-1] if self.delivered else None
        )


steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 4)),
        st.tuples(st.sampled_from(["hear", "hear again", "lose"]), st.integers(0, 5)),
        st.tuples(st.just("hear"), st.just(0)),
        st.tuples(
            st.sampled_from(
                ["answer", "read", "audit", "reconnect", "give up", "epoch", "epoch from one"]
            ),
            st.just(0),
        ),
    ),
    max_size=60,
)


@pytest.mark.no_cover
@given(steps, st.sampled_from([TRADES, AAPL]), st.sampled_from([PLENTY, 3]))
@settings(max_examples=examples(600), deadline=None)
def test_whatever_becomes_of_messages_the_order_holds_and_nothing_is_missing(
    steps: list[tuple[str, int]], topic: Topic, size: int
) -> None:
    """Lost, doubled and late ones, with reads at any moment: it ends on the newest, once each."""
    world = World(topic, size)
    for step, number in steps:
        match step:
            case "publish":
                world.publish(number)
            case "hear" | "hear again":
                world.hear(number, again=step == "hear again")
            case "lose":
                world.lose(number)
            case "answer":
                world.answer()
            case "read":
                world.read()
            case "audit":
                world.audit()
            case "reconnect":
                world.reconnect()
            case "give up":
                world.give_up()
            case _:
                world.begin_anew(from_one=step == "epoch from one")
    world.settle()
    world.check()
