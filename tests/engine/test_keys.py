"""Names of keys: what one script reaches is in one slot of a Cluster."""

from redis.crc import key_slot

from bookcast.engine import keys
from bookcast.engine.records import SHARDS, shard_of
from bookcast.model import Symbol, Topic
from tests.support import AAPL, CANDLES, QUOTE, TRADES, TSLA


def slots(*names: str) -> set[int]:
    return {int(key_slot(name.encode())) for name in names}


def test_everything_of_a_shard_is_in_one_slot() -> None:
    """Also for symbols with braces, which mean something to a Cluster."""
    braces = Topic("orderbook", Symbol("US.{A}"))
    for topic in (AAPL, TSLA, TRADES, CANDLES, QUOTE, braces):
        shard = shard_of(topic)
        state, history, _ = keys.topic_keys(topic)
        assert state.startswith(keys.topic_prefix(shard))
        names = (
            state,
            history,
            keys.fence_key(shard),
            keys.producer_key(shard, "node"),
            keys.directory_key(shard),
        )
        assert len(slots(*names)) == 1
    assert len(slots(*(keys.fence_key(shard) for shard in range(SHARDS)))) == SHARDS


def test_everything_of_nodes_is_in_one_slot() -> None:
    """The lock, who lives, what they want, the board."""
    names = (
        keys.NODES,
        keys.LOCK,
        keys.LOCK_NUMBER,
        keys.BOARD,
        keys.node_key("one"),
        keys.demand_key("one"),
        keys.demand_key("two"),
    )
    assert len(slots(*names)) == 1


def test_names_are_all_different() -> None:
    """Of keys and channels."""
    topics = [AAPL, TSLA, TRADES, CANDLES, QUOTE, AAPL._replace(variant="odd")]
    names = [name for topic in topics for name in keys.topic_keys(topic)]
    names += [keys.node_key("one"), keys.node_channel("one"), keys.demand_key("one")]
    names += [keys.DEMAND_CHANNEL, keys.BOARD, keys.BOARD_CHANNEL, keys.LEADER_CHANNEL, keys.LOCK]
    assert len(set(names)) == len(names)


def test_the_key_of_a_session_tells_nothing() -> None:
    """But is the same for the same session alone, however its parts are cut."""
    key = keys.session_key("token", "somebody", "secret")
    assert key == keys.session_key("token", "somebody", "secret")
    assert "secret" not in key
    assert "somebody" not in key
    others = [("token", "somebodysecret"), ("id", "somebody", "secret"), ("token", "some", "body")]
    assert key not in {keys.session_key(*parts) for parts in others}
