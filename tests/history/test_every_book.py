"""SESSION_QUEUE=all: a history in which a base client misses a book is caught."""

from __future__ import annotations

import pytest

from tests.history.modes import QUEUE_SIZE
from tests.history.story import BOOKS, Listener, Story


@pytest.fixture
def story() -> Story:
    """Begin a history of nodes that keep every book."""
    return Story("all")


def client(story: Story, books: int) -> Listener:
    """Return a base client that has subscribed; afterwards `books` books are published."""
    one = story.client(BOOKS, base=True)
    one.hears("subscription_confirmed", BOOKS)
    for number in range(1, books + 1):
        now = story.now
        story.published(BOOKS, number)
        story.now = now + 0.001
    story.now += 1
    return one


def hear(one: Listener, *numbers: int) -> None:
    """Record that a client receives these books."""
    for number in numbers:
        one.base_book(number)


def test_every_book_comes_in_order_over_a_lost_connection(story: Story) -> None:
    """What may not have come before the loss is sent again, and then what follows."""
    one = client(story, 6)
    hear(one, 1, 2, 3)
    one.returns()
    hear(one, 2, 3, 4, 5, 6)
    assert story.judged().violations == []
    assert story.judged().excused == []


def test_a_book_that_is_left_out_is_caught(story: Story) -> None:
    """On one connection, and where another goes on."""
    one = client(story, 6)
    hear(one, 1, 3)
    assert story.kinds() == ["missed"]
    one.returns()
    hear(one, 6)
    assert story.kinds() == ["missed"] * 2


@pytest.mark.parametrize(("name", "kinds"), [("base-1", ["missed"]), ("slow-base-1", [])])
def test_who_talks_without_reading_may_lose_what_was_sent_before_its_loss(
    story: Story, name: str, kinds: list[str]
) -> None:
    """That waits in the balancer, and the client's words are taken for a proof."""
    one = client(story, 4)
    story.history.tracks[0].name = name
    hear(one, 1)
    one.returns()
    hear(one, 3, 4)
    assert story.kinds() == kinds
    story.published(BOOKS, 5)
    story.published(BOOKS, 6)
    hear(one, 6)
    assert story.kinds() == [*kinds, "missed"]


def test_the_newest_alone_is_enough_without_the_setting() -> None:
    """The others are conflated."""
    story = Story()
    one = client(story, 6)
    hear(one, 1, 3)
    one.returns()
    hear(one, 6)
    assert story.kinds() == []


def test_a_book_that_comes_twice_on_a_connection_is_caught(story: Story) -> None:
    """Or an older one after a newer one."""
    one = client(story, 3)
    hear(one, 1, 2, 2)
    assert story.kinds() == ["duplicate"]
    hear(one, 1)
    assert story.kinds() == ["duplicate", "went back"]


@pytest.mark.parametrize(
    ("fault", "kinds"), [(None, ["shown again"]), ("node killed", []), ("redis paused", [])]
)
def test_a_book_that_had_surely_come_is_not_sent_again(
    story: Story, fault: str | None, kinds: list[str]
) -> None:
    """Unless the node that knew it is gone, or couldn't tell."""
    one = client(story, 3)
    hear(one, 1, 2)
    story.now += 20
    hear(one, 3)
    if fault is not None:
        story.fault(fault)
        story.history.faults[0].node = one.node
    one.returns()
    hear(one, 1, 2, 3)
    assert story.kinds() == kinds


def test_a_new_subscription_begins_with_the_newest(story: Story) -> None:
    """What came before it nobody has promised."""
    one = client(story, 6)
    hear(one, 1)
    one.hears("subscription_confirmed", BOOKS)
    hear(one, 6)
    assert story.kinds() == []


def test_what_is_past_the_bound_of_the_queue_may_be_left_out(story: Story) -> None:
    """And no more than that."""
    one = client(story, QUEUE_SIZE + 12)
    hear(one, 1)
    one.returns()
    hear(one, QUEUE_SIZE + 12)
    [violation] = story.judged().violations
    assert violation.kind == "missed"
    assert violation.detail.startswith(f"{QUEUE_SIZE - 1} from")


@pytest.mark.parametrize(
    ("fault", "kinds"), [("node killed", ["missed"]), ("redis killed, empty", [])]
)
def test_books_of_an_epoch_that_is_over_are_lost_only_by_redis(
    story: Story, fault: str, kinds: list[str]
) -> None:
    """It has forgotten what waited."""
    one = client(story, 3)
    hear(one, 1, 2)
    story.fault(fault)
    story.published(BOOKS, 4, epoch="f", seq=1)
    hear(one, 4)
    assert story.kinds() == kinds


def test_books_of_an_earlier_epoch_may_come_again_before_what_follows(story: Story) -> None:
    """The client goes on from where it was when its session was saved last."""
    one = client(story, 3)
    hear(one, 1, 2, 3)
    story.published(BOOKS, 4, epoch="f", seq=1)
    story.published(BOOKS, 5, epoch="f", seq=2)
    hear(one, 4)
    one.returns()
    hear(one, 3, 4, 5)
    assert story.kinds() == []


@pytest.mark.parametrize(("later", "kinds"), [((2, 3, 5), []), ((3, 5), ["missed"])])
def test_books_of_redis_come_after_those_of_an_outage(
    later: tuple[int, ...], kinds: list[str]
) -> None:
    """A node that was paused takes Redis for away for a moment, and other nodes publish on."""
    story = Story("all", "local")
    one = client(story, 3)
    story.fault("node paused")
    hear(one, 1)
    story.published(BOOKS, 4, epoch="local-a-1", seq=1)
    story.published(BOOKS, 5, seq=4)
    hear(one, 4, *later)
    assert story.kinds() == kinds


def test_the_newest_book_may_be_told_again_as_the_first_of_an_epoch(story: Story) -> None:
    """Who is sent that epoch once more is shown it there, though it had another place before."""
    one = client(story, 3)
    hear(one, 1, 2)
    for number in (4, 5):
        story.published(BOOKS, number, epoch="f", seq=number - 2)
    story.fault("redis killed, empty")
    hear(one, 3, 4, 5)
    story.now += 30.0  # so the fault excuses nothing
    two = story.client(BOOKS, base=True)
    two.hears("subscription_confirmed", BOOKS)
    hear(two, 4)
    two.returns()
    hear(two, 3, 4, 5)
    assert story.kinds() == []
