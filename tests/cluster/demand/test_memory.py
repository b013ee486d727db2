"""Demand of the nodes of one process."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from bookcast.cluster.demand.memory import MemoryDemand, SharedDemand
from bookcast.model.topics import Topic
from tests.budget import examples
from tests.support import AAPL, QUOTE, TSLA


class Feed:
    def __init__(self) -> None:
        self.told: list[str] = []

    def want(self, topic: Topic) -> None:
        self.told.append(f"wants {topic}")

    def want_to_read(self, topic: Topic) -> None:
        self.told.append(f"reads {topic}")

    def release(self, topic: Topic) -> None:
        self.told.append(f"releases {topic}")


async def test_a_change_reaches_the_feed_in_the_same_turn() -> None:
    """No task, no delay; what isn't news isn't told."""
    demand, feed = MemoryDemand(), Feed()
    demand.want(AAPL)
    await demand.follow(feed)
    demand.want(AAPL)
    demand.want_to_read(TSLA)
    demand.release(TSLA)
    demand.release(TSLA)
    assert feed.told == [f"wants {AAPL}", f"reads {TSLA}", f"releases {TSLA}"]
    await demand.close()
    demand.want(TSLA)
    assert len(feed.told) == 3


async def test_several_nodes_may_follow() -> None:
    """As for a moment when the feed is handed over."""
    shared = SharedDemand()
    one, other, third = (MemoryDemand(shared) for _ in range(3))
    feeds = [Feed(), Feed()]
    await one.follow(feeds[0])
    await other.follow(feeds[1])
    third.want(AAPL)
    shared.leave(third)
    shared.leave(third)
    assert feeds[0].told == feeds[1].told == [f"wants {AAPL}", f"releases {AAPL}"]
    third.want(AAPL)
    assert len(feeds[0].told) == 2


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["want", "want_to_read", "release", "dies", "follows", "unfollows"]),
        st.integers(0, 2),
        st.sampled_from([AAPL, TSLA, QUOTE]),
    ),
    max_size=40,
)


@given(CHANGES)
@settings(max_examples=examples(200))
def test_a_feed_knows_what_those_who_live_want(changes: list[tuple[str, int, Topic]]) -> None:
    """After each change, wherever it runs; what subscribers want is no read."""
    asyncio.run(play(changes))


async def play(changes: list[tuple[str, int, Topic]]) -> None:
    shared = SharedDemand()
    nodes, feeds = [MemoryDemand(shared) for _ in range(3)], [Feed() for _ in range(3)]
    wanted: list[dict[Topic, str]] = [{}, {}, {}]
    follows = [False] * 3
    living = {0, 1, 2}
    for what, number, topic in changes:
        node = nodes[number]
        if number not in living:
            continue
        if what == "dies":
            living.discard(number)
            shared.leave(node)
        elif what == "follows":
            follows[number] = True
            await node.follow(feeds[number])
        elif what == "unfollows":
            follows[number] = False
            await node.unfollow()
        elif what == "release":
            wanted[number].pop(topic, None)
            node.release(topic)
        else:
            wanted[number][topic] = "wants" if what == "want" else "reads"
            getattr(node, what)(topic)
        for one in living:
            assert known(feeds[one]) == (all_of(wanted, living) if follows[one] else {})


def known(feed: Feed) -> dict[str, str]:
    """Return what a feed takes for wanted; nothing may be told twice."""
    found: dict[str, str] = {}
    for told in feed.told:
        what, symbol = told.split()
        assert found.get(symbol, "releases") != what
        found[symbol] = what
    return {symbol: what for symbol, what in found.items() if what != "releases"}


def all_of(wanted: list[dict[Topic, str]], living: set[int]) -> dict[str, str]:
    """Return what nodes want together."""
    found: dict[str, str] = {}
    for number in living:
        for topic, what in wanted[number].items():
            found[str(topic)] = "wants" if "wants" in {what, found.get(str(topic))} else "reads"
    return found
