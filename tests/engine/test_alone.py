from bookcast.engine.alone import Alone
from bookcast.model import Position, Publication, Topic, Update
from tests.support import AAPL, CANDLES, QUOTE, TRADES, TSLA, candle, trades, update


class Node:
    def __init__(self) -> None:
        self.shown: list[Update] = []
        self.alone = Alone("me", history_size=3, clock=lambda: 5.0, deliver=self.shown.append)

    async def publish(self, *sizes: int, topic: Topic = AAPL, fed: bool = False) -> list[Position]:
        return await self.alone.publish(
            [Publication(topic, update(size, topic).data) for size in sizes], from_feed=fed
        )


async def test_each_outage_has_an_epoch_of_its_own() -> None:
    """Named for the node, so that no two nodes' are equal."""
    node = Node()
    node.alone.begin([])
    assert await node.publish(1, 2) == [Position("local-me-1", 1), Position("local-me-1", 2)]
    node.alone.end()
    node.alone.begin([])
    assert await node.publish(3) == [Position("local-me-2", 1)]


async def test_clients_are_shown_what_they_want() -> None:
    """Also what was published before they wanted it."""
    node = Node()
    node.alone.begin([AAPL])
    await node.publish(1)
    await node.publish(2, topic=TSLA)
    assert [one.topic for one in node.shown] == [AAPL]
    node.alone.want(TSLA)
    node.alone.release(AAPL)
    await node.publish(3)
    assert [one.topic for one in node.shown] == [AAPL, TSLA]
    assert AAPL in node.alone
    assert QUOTE not in node.alone
    assert [one.position.seq for one in await node.alone.past(AAPL)] == [2]
    assert {head.topic for head in await node.alone.heads()} == {AAPL, TSLA}


async def test_without_an_outage_it_knows_nothing() -> None:
    """And has nothing to hand in."""
    node = Node()
    assert not node.alone.is_alone
    assert AAPL not in node.alone
    node.alone.want(AAPL)
    node.alone.release(AAPL)
    assert await node.alone.past(AAPL) == ()
    assert await node.alone.heads() == ()
    assert not node.alone.is_first(AAPL)
    assert node.alone.end() == []
    assert node.alone.returning(update(1)) == update(1)


async def test_the_newest_states_are_handed_in_and_begin_an_epoch() -> None:
    """Those of the feed apart. Trades and final candles aren't told twice."""
    node = Node()
    node.alone.begin([])
    await node.publish(1, 2, fed=True)
    await node.publish(3, topic=QUOTE)
    await node.publish(4, topic=TRADES, fed=True)
    await node.alone.publish([Publication(CANDLES, candle(5, final=True))], from_feed=True)
    left = [(one.topic, one.data, fed) for one, fed in node.alone.end()]
    assert left == [(AAPL, update(2).data, True), (QUOTE, update(3, QUOTE).data, False)]


async def test_what_could_not_be_handed_in_has_its_turn_after_the_next_outage() -> None:
    """Unless something newer was published, here or there."""
    node = Node()
    node.alone.begin([AAPL])
    await node.publish(1)
    await node.publish(1, topic=TSLA, fed=True)
    await node.publish(1, topic=QUOTE)
    for update_, fed in node.alone.end():
        node.alone.keep(update_, from_feed=fed)
    node.alone.note_published([Publication(QUOTE, update(2, QUOTE).data)])
    node.alone.begin([AAPL])
    await node.publish(2)
    left = {one.topic: (one.data, fed) for one, fed in node.alone.end()}
    assert left == {AAPL: (update(2).data, False), TSLA: (update(1, TSLA).data, True)}
    node.alone.begin([])
    assert node.alone.end() == []


async def test_trades_after_that_do_not_continue_those_before() -> None:
    """The first publication of each topic says so, and only the first."""
    node = Node()
    node.alone.begin([])
    await node.publish(1, topic=TRADES)
    node.alone.end()
    publications = [Publication(TRADES, trades(2)), Publication(TRADES, trades(3))]
    first, second = node.alone.mended(publications)
    assert (first.resumes, second.resumes) == (True, False)
    assert node.alone.mended(publications) == publications


async def test_the_first_publications_after_an_outage_are_marked() -> None:
    """So that a new epoch is told from one that has another reason."""
    node = Node()
    node.alone.begin([])
    node.alone.end()
    assert node.alone.is_first(AAPL)
    node.alone.note_published([Publication(AAPL, update(1).data)])
    assert not node.alone.is_first(AAPL)
    assert node.alone.is_first(TSLA)


async def test_clients_that_were_shown_something_else_are_told_where_it_goes_on() -> None:
    """While the outage lasts they are shown what this node says, and nothing of Redis."""
    node = Node()
    node.alone.begin([AAPL])
    await node.publish(1)
    assert node.alone.returning(update(7)) is None
    assert node.alone.returning(update(7, TSLA)) == update(7, TSLA)
    node.alone.end()
    shown = node.alone.returning(update(8))
    assert shown is not None
    assert shown.restored
    assert node.alone.returning(update(9)) == update(9)
    assert node.alone.astray == set()


async def test_what_could_not_be_published_in_redis_breaks_again() -> None:
    """The next attempt says so once more."""
    node = Node()
    node.alone.begin([])
    await node.publish(1, topic=TRADES)
    node.alone.end()
    publications = [Publication(TRADES, trades(2))]
    assert node.alone.mended(publications)[0].resumes
    node.alone.note_failed([*node.alone.mended(publications)])
    assert not node.alone.mended(publications)[0].resumes
    node.alone.note_failed([publications[0]._replace(resumes=True)])
    assert node.alone.mended(publications)[0].resumes
