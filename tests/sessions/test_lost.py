"""What a client leaves behind."""

from __future__ import annotations

from bookcast.engine.memory import MemoryEngine
from bookcast.hub.view_spec import ViewSpec
from bookcast.model.topics import Topic
from bookcast.sessions.lost import LostSession
from tests.support import AAPL, TRADES, TSLA

SPEC = ViewSpec("", "AAPL")
OTHER = ViewSpec("", "AAPL", depth=5)


def lost(engine: MemoryEngine, *topics: Topic, spec: ViewSpec = SPEC) -> LostSession:
    interests = [engine.open_now(topic) for topic in topics]
    return LostSession(("key",), dict.fromkeys(topics, (spec, None)), interests)


def test_its_topics_are_wanted_until_it_is_closed() -> None:
    """Once is enough."""
    engine = MemoryEngine()
    left = lost(engine, AAPL, TSLA)
    assert left.subscription_count == 2
    assert engine.want(AAPL) == engine.want(TSLA) == "subscribed"
    left.close()
    left.close()
    assert engine.want(AAPL) is engine.want(TSLA) is None


def test_two_of_one_client_are_joined() -> None:
    """The later one's view of a topic counts, and what that one declined is wanted no more."""
    engine = MemoryEngine()
    first, later = lost(engine, AAPL, TSLA), lost(engine, AAPL, TRADES, spec=OTHER)
    joined = first.joined(later, {TSLA})
    assert joined.seen() == {AAPL: (OTHER, None), TRADES: (OTHER, None)}
    assert engine.want(TSLA) is None
    assert engine.want(AAPL) == engine.want(TRADES) == "subscribed"
    joined.close()
    assert engine.want(AAPL) is engine.want(TRADES) is None
