"""What is published locally during an outage: a history that breaks a promise is caught."""

from __future__ import annotations

import math

import pytest

from tests.history.history import Fault
from tests.history.modes import Mode
from tests.history.outage import NOTICED_SECONDS
from tests.history.story import BOOKS, TRADES, Listener, Story

HERE = "local-abc-1"


@pytest.fixture
def story() -> Story:
    """Begin a history of nodes that publish locally."""
    return Story("local")


def away(story: Story) -> Listener:
    """Return a client that has one trade when Redis hangs and the next is published locally."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    story.published(TRADES, 1)
    client.trades(1)
    story.fault("redis paused")
    story.published(TRADES, 2, epoch=HERE, seq=1)
    client.gap(None, None, HERE)
    client.trades(2, epoch=HERE, before=0)
    return client


def test_what_is_published_in_an_outage_is_shown_there_and_its_end_is_told(story: Story) -> None:
    """Then Redis goes on, in a new epoch."""
    client = away(story)
    story.published(TRADES, 3, epoch="f", seq=1)
    client.gap(None, None, "f", reason="engine_restored")
    client.trades(3, epoch="f", before=0)
    assert story.kinds() == []


def test_an_outage_whose_end_is_not_told_is_caught(story: Story) -> None:
    """The reason of the gap says that Redis was away."""
    client = away(story)
    story.published(TRADES, 3, epoch="f", seq=1)
    client.gap(None, None, "f", reason="epoch")
    client.trades(3, epoch="f", before=0)
    assert story.kinds() == ["end of an outage not told"]


def test_another_node_does_not_know_of_the_outage(story: Story) -> None:
    """To whom comes from elsewhere continuity is lost, whatever the reason."""
    client = away(story)
    client.node = "node2"
    client.returns()
    story.published(TRADES, 3, epoch="f", seq=1)
    client.gap(None, None, "f", reason="epoch")
    client.trades(3, epoch="f", before=0)
    assert story.kinds() == []


def test_a_local_trade_that_is_shown_under_another_epoch_is_caught(story: Story) -> None:
    """It was published here alone, and isn't told twice."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    story.fault("redis paused")
    story.now += NOTICED_SECONDS
    story.published(TRADES, 2, epoch=HERE, seq=1)
    client.gap(None, None, HERE)
    client.trades(2, epoch=HERE, before=0)
    client.gap(None, None, "f", reason="engine_restored")
    client.trades(2, epoch="f", before=0)
    assert sorted(story.kinds()) == ["duplicate", "published twice"]


def test_what_redis_was_asked_before_may_come_twice(story: Story) -> None:
    """The outage began meanwhile, and nobody knows what became of it there."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    attempt = story.published(TRADES, 2, epoch=HERE, seq=1)
    story.history.faults.append(Fault("link cut", attempt.ended - 0.01, story.now, "node1"))
    client.gap(None, None, HERE)
    client.trades(2, epoch=HERE, before=0)
    client.gap(None, None, "f", reason="engine_restored")
    client.trades(2, epoch="f", before=0)
    assert story.kinds() == []


@pytest.mark.parametrize(
    ("name", "kinds"), [("trades-1", ["local without an outage"]), ("slow-trades-1", [])]
)
def test_who_reads_slowly_may_hear_of_an_outage_long_after_it(
    story: Story, name: str, kinds: list[str]
) -> None:
    """It reads what was sent before its node was lost."""
    client = story.client(TRADES)
    story.history.tracks[0].name = name
    client.confirmed(TRADES)
    story.published(TRADES, 1)
    client.trades(1)
    story.fault("redis paused")
    story.published(TRADES, 2, epoch=HERE, seq=1)
    story.now += 12.0
    client.gap(None, None, HERE)
    client.trades(2, epoch=HERE, before=0)
    assert [kind for kind in story.kinds() if kind == "local without an outage"] == kinds


@pytest.mark.parametrize(("at", "kinds"), [(0.0, []), (9.0, ["published twice"])])
def test_what_redis_was_asked_may_come_twice_though_its_publisher_got_no_answer(
    story: Story, at: float, kinds: list[str]
) -> None:
    """The fault came while it waited, and no later."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    story.published(TRADES, 1)
    attempt = story.published(TRADES, 2, outcome="unknown", ended=math.inf)
    fault = Fault("node paused", attempt.began + at, attempt.began + at + 1.0, "node1")
    story.history.faults.append(fault)
    client.trades(1, 2)
    other = story.client(TRADES)
    other.node = "node2"
    other.confirmed(TRADES)
    story.now = max(story.now, fault.at)
    other.gap(None, None, HERE)
    other.trades(2, epoch=HERE, before=0)
    assert [kind for kind in story.kinds() if kind == "published twice"] == kinds


def test_another_node_may_show_again_what_was_before_the_outage(story: Story) -> None:
    """It doesn't know how far the client was then; the node of the outage does."""
    client = away(story)
    client.gap(None, None, "e", reason="engine_restored")
    client.trades(1)
    assert story.kinds() == ["duplicate"]
    track = story.history.tracks[0]
    del track.events[-2:]
    client.node = "node2"
    client.returns()
    client.gap(None, None, "e", reason="engine_restored")
    client.trades(1)
    assert story.kinds() == []


def test_a_local_book_is_told_redis_afterwards(story: Story) -> None:
    """The newest one, under a new epoch; a base client of that node is shown it once more."""
    base, v1 = story.client(BOOKS, base=True), story.client(BOOKS)
    story.fault("redis paused")
    story.published(BOOKS, 1, epoch=HERE)
    base.base_book(1)
    v1.book(1, epoch=HERE)
    v1.book(1, epoch="f", seq=1)
    base.base_book(1)
    assert story.kinds() == []


def test_a_local_epoch_at_two_nodes_is_caught(story: Story) -> None:
    """It is one node's own."""
    away(story)
    other = story.client(TRADES)
    other.node = "node2"
    other.confirmed(TRADES, 0, HERE)
    other.trades(2, epoch=HERE, before=0)
    assert story.kinds() == ["local, and elsewhere"]


@pytest.mark.parametrize(
    ("fault", "kinds"),
    [
        ("node killed", ["local without an outage"] * 2),
        ("link cut", []),
        ("node paused", []),
    ],
)
def test_local_without_an_outage_is_caught(story: Story, fault: str, kinds: list[str]) -> None:
    """Where Redis can be reached, everybody is told."""
    story.fault(fault)
    client = story.client(TRADES)
    story.published(TRADES, 1, epoch=HERE)
    client.confirmed(TRADES, 0, HERE)
    client.trades(1, epoch=HERE)
    assert story.kinds() == kinds


@pytest.mark.parametrize(("modes", "kinds"), [((), ["local, not asked for"]), (("local",), [])])
def test_local_is_published_only_where_it_is_asked_for(
    modes: tuple[Mode, ...], kinds: list[str]
) -> None:
    """Else it has to be refused."""
    story = Story(*modes)
    story.fault("redis paused")
    story.published(TRADES, 1, epoch=HERE)
    assert story.kinds() == kinds


@pytest.mark.parametrize(("published", "kinds"), [(True, []), (False, ["gap without a reason"])])
def test_a_topic_of_an_outage_may_begin_anew_long_after(
    story: Story, published: bool, kinds: list[str]
) -> None:
    """When the node publishes it again that published it then."""
    client = story.client(TRADES)
    client.confirmed(TRADES)
    story.fault("redis paused")
    if published:
        story.published(TRADES, 1, epoch=HERE)
    story.now += 30
    client.gap(None, None, "f", reason="engine_restored")
    assert story.kinds() == kinds
