import msgspec

from bookcast.engine.interests import Interests
from bookcast.engine.redis.outage import OutageMode
from bookcast.model.cursor import Cursor
from bookcast.model.topic_log import LogRules, StateLog, TopicLog
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Publication, Update
from tests.support import AAPL, CANDLES, QUOTE, TRADES, TSLA, candle, trades, update


class Node:
    """A node that publishes locally while Redis is unreachable, in logs that it had before."""

    def __init__(self) -> None:
        self.logs: dict[Topic, TopicLog] = {}
        self.shown: list[Update] = []
        self.interests = Interests(self.log_of, lambda _topic, _want: None)
        self.outage_mode = OutageMode(
            "me",
            clock=lambda: 5.0,
            log_of=self.log_of,
            interests=self.interests,
            notice=self.notice,
        )

    def log_of(self, topic: Topic) -> TopicLog:
        if topic not in self.logs:
            self.logs[topic] = LogRules().log_of(topic)
        return self.logs[topic]

    def notice(self, log: TopicLog) -> None:
        assert log.newest is not None
        self.shown.append(log.newest)

    def end(self) -> list[tuple[Update, bool]]:
        return self.outage_mode.end(lambda _topic: True)

    async def publish(self, *sizes: int, topic: Topic = AAPL, fed: bool = False) -> list[Position]:
        return await self.outage_mode.publish(
            [Publication(topic, update(size, topic).data) for size in sizes], from_feed=fed
        )


async def test_each_outage_has_an_epoch_of_its_own() -> None:
    """Named for the node, so that no two nodes' are equal."""
    node = Node()
    node.outage_mode.begin()
    assert await node.publish(1, 2) == [Position("local-me-1", 1), Position("local-me-1", 2)]
    node.end()
    node.outage_mode.begin()
    assert await node.publish(3) == [Position("local-me-2", 1)]


async def test_what_is_wanted_is_told_to_the_hub() -> None:
    """Updates of other topics stay in their log for later subscribers."""
    node = Node()
    wanted = node.interests.open(AAPL)
    node.outage_mode.begin()
    await node.publish(1)
    await node.publish(2, topic=TSLA)
    assert [one.topic for one in node.shown] == [AAPL]
    assert node.interests.open(TSLA).log.past()[0].data == update(2, TSLA).data
    wanted.close()
    await node.publish(3)
    assert [one.topic for one in node.shown] == [AAPL]
    assert AAPL in node.outage_mode
    assert QUOTE not in node.outage_mode
    assert [one.position.seq for one in await node.outage_mode.past(AAPL)] == [2]
    assert {head.topic for head in await node.outage_mode.heads()} == {AAPL, TSLA}


async def test_it_publishes_to_the_log_that_has_what_redis_said() -> None:
    """Its numbers don't go on from those of Redis."""
    node = Node()
    log = node.interests.open(TRADES).log
    log.append(update(7, TRADES))
    log.flush_unread()
    node.outage_mode.begin()
    await node.publish(8, topic=TRADES)
    assert [one.position for one in log.past()] == [Position("local-me-1", 1)]
    assert node.outage_mode.log(TRADES) is log
    assert log.since(Cursor(Position("e", 7)), log.past()[-1]).gap == (
        "local-me-1",
        None,
        None,
        "epoch",
    )


async def test_without_an_outage_it_knows_nothing() -> None:
    """There is nothing to republish."""
    node = Node()
    assert not node.outage_mode.is_active
    assert AAPL not in node.outage_mode
    assert node.outage_mode.log(AAPL) is None
    assert await node.outage_mode.past(AAPL) == ()
    assert await node.outage_mode.heads() == ()
    assert not node.outage_mode.is_first(AAPL)
    assert node.end() == []
    assert node.outage_mode.returning(update(1)) == update(1)


async def test_what_is_not_shown_any_more_needs_no_word_of_the_outage() -> None:
    """Neither when it ends, nor while it goes on elsewhere."""
    node = Node()
    node.outage_mode.begin()
    await node.publish(1)
    await node.publish(1, topic=TSLA)
    node.outage_mode.forget(AAPL)
    assert node.outage_mode.diverged == {AAPL, TSLA}  # its log still has what was published here
    node.outage_mode.end(lambda topic: topic == TSLA)
    assert node.outage_mode.diverged == {TSLA}
    node.outage_mode.forget(TSLA)
    assert node.outage_mode.diverged == set()


async def test_the_newest_states_are_handed_in_and_begin_an_epoch() -> None:
    """States of the feed are separate; trades and final candles aren't republished."""
    node = Node()
    node.outage_mode.begin()
    await node.publish(1, 2, fed=True)
    await node.publish(3, topic=QUOTE)
    await node.publish(4, topic=TRADES, fed=True)
    await node.outage_mode.publish([Publication(CANDLES, candle(5, final=True))], from_feed=True)
    left = [(one.topic, one.data, fed) for one, fed in node.end()]
    assert left == [(AAPL, update(2).data, True), (QUOTE, update(3, QUOTE).data, False)]


async def test_what_could_not_be_handed_in_has_its_turn_after_the_next_outage() -> None:
    """Unless something newer was published, here or there."""
    node = Node()
    node.outage_mode.begin()
    await node.publish(1)
    await node.publish(1, topic=TSLA, fed=True)
    await node.publish(1, topic=QUOTE)
    for update_, fed in node.end():
        node.outage_mode.keep(update_, from_feed=fed)
    node.outage_mode.note_published([Publication(QUOTE, update(2, QUOTE).data)])
    node.outage_mode.begin()
    await node.publish(2)
    left = {one.topic: (one.data, fed) for one, fed in node.end()}
    assert left == {AAPL: (update(2).data, False), TSLA: (update(1, TSLA).data, True)}
    node.outage_mode.begin()
    assert node.end() == []


async def test_trades_after_that_do_not_continue_those_before() -> None:
    """The first publication of each topic says so, and only the first."""
    node = Node()
    node.outage_mode.begin()
    await node.publish(1, topic=TRADES)
    node.end()
    publications = [Publication(TRADES, trades(2)), Publication(TRADES, trades(3))]
    first, second = node.outage_mode.mended(publications)
    assert (first.breaks, second.breaks) == (True, False)
    assert node.outage_mode.mended(publications) == publications


async def test_the_first_publications_after_an_outage_are_marked() -> None:
    """The mark distinguishes this new epoch from one with another reason."""
    node = Node()
    node.outage_mode.begin()
    node.end()
    assert node.outage_mode.is_first(AAPL)
    node.outage_mode.note_published([Publication(AAPL, update(1).data)])
    assert not node.outage_mode.is_first(AAPL)
    assert node.outage_mode.is_first(TSLA)


async def test_clients_that_were_shown_something_else_are_told_where_it_goes_on() -> None:
    """While the outage lasts they are shown what this node says, and nothing of Redis."""
    node = Node()
    node.outage_mode.begin()
    await node.publish(1)
    assert node.outage_mode.returning(update(7)) is None
    assert node.outage_mode.returning(update(7, TSLA)) == update(7, TSLA)
    node.end()
    node.outage_mode.note_caught_up()
    shown = node.outage_mode.returning(update(8))
    assert shown is not None
    assert shown.engine_restored
    assert node.outage_mode.returning(update(9)) == update(9)
    assert node.outage_mode.diverged == set()


async def test_a_publication_that_redis_executes_late_takes_no_client_back() -> None:
    """It is older than the state that clients see. Newer ones, and events, are shown at once."""
    node = Node()
    node.outage_mode.begin()
    await node.publish(190, 191)
    await node.publish(1, topic=TRADES)
    node.end()
    assert node.outage_mode.returning(update(190)) is None
    assert node.outage_mode.diverged == {AAPL, TRADES}
    assert node.outage_mode.returning(update(2, TRADES)) is not None
    newer = msgspec.structs.replace(update(192), server_ms=5001.0)
    assert node.outage_mode.returning(newer) is not None
    assert node.outage_mode.returning(update(193)) == update(193)


async def test_where_every_book_counts_none_of_redis_is_left_out() -> None:
    """Other nodes went on publishing, and those books come late, but in order."""
    node = Node()
    log = node.log_of(AAPL)
    assert isinstance(log, StateLog)
    log.keep_all()
    node.outage_mode.begin()
    await node.publish(190, 191)
    node.end()
    for seq in (190, 191):
        assert node.outage_mode.returning(update(seq)) is not None


async def test_what_could_not_be_published_in_redis_breaks_again() -> None:
    """The next attempt says so once more."""
    node = Node()
    node.outage_mode.begin()
    await node.publish(1, topic=TRADES)
    node.end()
    publications = [Publication(TRADES, trades(2))]
    assert node.outage_mode.mended(publications)[0].breaks
    node.outage_mode.note_failed([*node.outage_mode.mended(publications)])
    assert not node.outage_mode.mended(publications)[0].breaks
    node.outage_mode.note_failed([publications[0]._replace(breaks=True)])
    assert node.outage_mode.mended(publications)[0].breaks
