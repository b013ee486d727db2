import asyncio

from bookcast.feeds.base import Feed, FeedStatus
from bookcast.feeds.supervisor import FIRST_DELAY, MAX_DELAY, Supervisor
from bookcast.model.topics import Topic
from tests.support import AAPL, TSLA, eventually


class Fickle(Feed):
    """A feed that fails as often as told, then runs."""

    name = "fickle"

    def __init__(self, failures: int) -> None:
        super().__init__(self._publish)
        self.failures = failures
        self.runs = 0
        self.cleaned = False
        self.demand: list[tuple[str, Topic]] = []

    async def _publish(self, _publications: object) -> None:
        """Go nowhere."""

    async def run(self) -> None:
        self.runs += 1
        if self.runs <= self.failures:
            raise ValueError("no luck")
        try:
            await asyncio.Event().wait()
        finally:
            self.cleaned = True

    def status(self) -> FeedStatus:
        return FeedStatus(self.name, "connected", 3)

    def want(self, topic: Topic) -> None:
        self.demand.append(("want", topic))

    def release(self, topic: Topic) -> None:
        self.demand.append(("release", topic))


def test_a_feed_that_has_plenty_makes_no_difference_of_reads() -> None:
    """What is read is wanted."""
    feed = Fickle(failures=0)
    supervisor = Supervisor(feed)
    supervisor.want_to_read(AAPL)
    supervisor.release(AAPL)
    assert feed.demand == [("want", AAPL), ("release", AAPL)]


async def test_a_feed_that_fails_is_started_again_ever_later() -> None:
    """Delays double up to a cap, with jitter so that many don't come back at once."""
    delays: list[float] = []

    async def sleep(seconds: float) -> None:
        delays.append(seconds)
        await asyncio.sleep(0)

    feed = Fickle(failures=10)
    supervisor = Supervisor(feed, sleep=sleep, random=lambda: 1.0)
    supervisor.start()
    await eventually(lambda: feed.runs == 11, "the feed to run at last")
    assert delays[:3] == [FIRST_DELAY, 2 * FIRST_DELAY, 4 * FIRST_DELAY]
    assert delays[-1] == MAX_DELAY
    await supervisor.stop()
    assert feed.cleaned


async def test_a_feed_in_trouble_says_so() -> None:
    """Until it runs again."""
    feed = Fickle(failures=1)
    waiting = asyncio.Event()
    supervisor = Supervisor(feed, sleep=lambda _seconds: waiting.wait())
    supervisor.start()
    await eventually(lambda: supervisor.status().state == "disconnected", "the failure")
    assert "no luck" in (supervisor.status().detail or "")
    waiting.set()
    await eventually(lambda: supervisor.status().state == "connected", "the recovery")
    await supervisor.stop()
    await supervisor.stop()


async def test_a_feed_that_fails_while_it_cleans_up_stops_all_the_same() -> None:
    """It isn't started again."""

    class Messy(Fickle):
        async def run(self) -> None:
            try:
                await super().run()
            finally:
                raise ValueError("at the very end")

    feed = Messy(failures=0)
    supervisor = Supervisor(feed)
    supervisor.start()
    await eventually(lambda: feed.runs == 1, "the feed to run")
    await asyncio.wait_for(supervisor.stop(), 5)
    assert feed.runs == 1


async def test_demand_is_passed_on() -> None:
    """Also while the feed is not running."""
    feed = Fickle(failures=0)
    supervisor = Supervisor(feed)
    supervisor.want(AAPL)
    supervisor.release(TSLA)
    assert feed.demand == [("want", AAPL), ("release", TSLA)]
    assert await supervisor.search("") == []
