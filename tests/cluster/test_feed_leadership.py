"""What a node does when it begins and ends to run the feed."""

from bookcast.backend.memory import MemoryBackend
from bookcast.cluster.feed_leadership import FeedLeadership
from bookcast.cluster.members.base import Node
from bookcast.model.topics import Topic
from tests.support import AAPL, TSLA


class Feed:
    """What a feed is told, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def want(self, topic: Topic) -> None:
        self.told.append(f"wants {topic.symbol}")

    def want_to_read(self, topic: Topic) -> None:
        self.told.append(f"reads {topic.symbol}")

    def release(self, topic: Topic) -> None:
        self.told.append(f"releases {topic.symbol}")

    async def run_feed(self, fence: int) -> None:
        self.told.append(f"runs under {fence}")

    async def stop_feed(self) -> None:
        self.told.append("stops")


async def test_a_feed_knows_what_is_wanted_before_it_runs() -> None:
    """And until after it has stopped; it begins anew with the next time."""
    cluster, feed = MemoryBackend(myself=lambda: Node("me", "us")).cluster, Feed()
    cluster.demand.want(AAPL)
    leadership = FeedLeadership(cluster, feed)
    await leadership.start()
    assert feed.told == ["wants US.AAPL", "runs under 1"]
    cluster.demand.want(TSLA)
    await cluster.election.note_fenced(1)
    cluster.demand.release(AAPL)
    assert feed.told[2:] == ["wants US.TSLA", "stops", "releases US.AAPL", "releases US.TSLA"]
    feed.told.clear()
    await leadership.gain(7)
    assert feed.told == ["wants US.TSLA", "runs under 7"]
