"""Names of keys: what one script reaches is in one slot of a Cluster."""

from redis.crc import key_slot

from bookcast.backplane.keys import Keys
from bookcast.backplane.names import SHARDS, shard_of
from bookcast.model.topics import Symbol, Topic
from tests.support import AAPL, CANDLES, QUOTE, TRADES, TSLA

KEYS = Keys()


def slots(*names: str) -> set[int]:
    return {int(key_slot(name.encode())) for name in names}


def test_everything_of_a_shard_is_in_one_slot() -> None:
    """Also for symbols with braces, which mean something to a Cluster."""
    braces = Topic("orderbook", Symbol("US.{A}"))
    for topic in (AAPL, TSLA, TRADES, CANDLES, QUOTE, braces):
        shard = shard_of(topic)
        state, history, _ = KEYS.topic(topic)
        assert state.startswith(KEYS.topic_prefix(shard))
        names = (
            state,
            history,
            KEYS.fence(shard),
            KEYS.producer(shard, "node"),
            KEYS.directory(shard),
        )
        assert len(slots(*names)) == 1
    assert len(slots(*(KEYS.fence(shard) for shard in range(SHARDS)))) == SHARDS


def test_everything_of_nodes_is_in_one_slot() -> None:
    """The lock, who lives, what they want, the board."""
    names = (
        KEYS.nodes,
        KEYS.lock,
        KEYS.lock_number,
        KEYS.board,
        KEYS.node("one"),
        KEYS.demand("one"),
        KEYS.demand("two"),
    )
    assert len(slots(*names)) == 1


def test_names_are_all_different() -> None:
    """Of keys and channels."""
    topics = [AAPL, TSLA, TRADES, CANDLES, QUOTE, AAPL._replace(variant="odd")]
    names = [name for topic in topics for name in KEYS.topic(topic)]
    names += [KEYS.node("one"), KEYS.node_channel("one"), KEYS.demand("one")]
    names += [KEYS.demand_channel, KEYS.board, KEYS.board_channel, KEYS.leader_channel, KEYS.lock]
    assert len(set(names)) == len(names)


def test_deployments_have_no_name_in_common() -> None:
    """Neither those with prefixes of their own, nor those in databases of their own."""
    deployments = [KEYS, Keys("other"), Keys(database=1), Keys("other", 1)]
    names = [
        name
        for keys in deployments
        for name in (
            *keys.topic(AAPL),
            *(keys.nodes, keys.lock, keys.lock_number, keys.board),
            *(keys.demand_channel, keys.board_channel, keys.leader_channel),
            *(keys.node("one"), keys.node_channel("one"), keys.demand("one")),
            *(keys.fence(1), keys.producer(1, "one"), keys.directory(1), keys.topic_prefix(1)),
            keys.session("id", "one"),
        )
    ]
    assert len(set(names)) == len(names)


def test_the_key_of_a_session_tells_nothing() -> None:
    """But is the same for the same session alone, however its parts are cut."""
    key = KEYS.session("token", "somebody", "secret")
    assert key == KEYS.session("token", "somebody", "secret")
    assert "secret" not in key
    assert "somebody" not in key
    others = [("token", "somebodysecret"), ("id", "somebody", "secret"), ("token", "some", "body")]
    assert key not in {KEYS.session(*parts) for parts in others}
