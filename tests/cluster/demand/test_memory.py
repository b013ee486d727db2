"""Demand of the nodes of one process."""

from bookcast.cluster.demand.memory import MemoryDemand, SharedDemand
from bookcast.model import Topic
from tests.support import AAPL, TSLA


class Feed:
    def __init__(self) -> None:
        self.told: list[str] = []

    def want(self, topic: Topic) -> None:
        self.told.append(f"wants {topic.symbol}")

    def want_to_read(self, topic: Topic) -> None:
        self.told.append(f"reads {topic.symbol}")

    def release(self, topic: Topic) -> None:
        self.told.append(f"releases {topic.symbol}")


async def test_a_change_reaches_the_feed_in_the_same_turn() -> None:
    """No task, no delay; what isn't news isn't told."""
    demand, feed = MemoryDemand(), Feed()
    demand.want(AAPL)
    await demand.follow(feed)
    demand.want(AAPL)
    demand.want_to_read(TSLA)
    demand.release(TSLA)
    demand.release(TSLA)
    assert feed.told == ["wants US.AAPL", "reads US.TSLA", "releases US.TSLA"]
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
    assert feeds[0].told == feeds[1].told == ["wants US.AAPL", "releases US.AAPL"]
    third.want(AAPL)
    assert len(feeds[0].told) == 2
