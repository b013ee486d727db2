from hypothesis import given, settings

from bookcast.backplane.names import SHARDS, name_of, shard_of, topic_of, topics_of
from bookcast.model.topics import Symbol, Topic
from tests.budget import examples
from tests.engine.redis.test_records import topics
from tests.support import AAPL, CANDLES, TRADES


@given(topics())
@settings(max_examples=examples(150), deadline=None)
def test_names_of_topics_can_be_read_again(topic: Topic) -> None:
    """A symbol may contain whatever can be printed; all of them stay apart."""
    name = name_of(topic)
    assert topic_of(name) == topic
    assert not {"\t", "\n"} & set(name)
    assert 0 <= shard_of(topic) < SHARDS


def test_variants_of_a_symbol_are_topics_of_their_own() -> None:
    """Also where a symbol looks like a variant."""
    odd = AAPL._replace(variant="odd")
    names = [name_of(one) for one in (AAPL, odd, TRADES, CANDLES)]
    assert len(set(names)) == 4
    tricky = Topic("candles", Symbol("1m:US.AAPL"), "1m")
    assert topic_of(name_of(tricky)) == tricky


def test_shards_are_all_used() -> None:
    """Many symbols spread over them."""
    topics = [Topic("orderbook", Symbol(f"US.S{number}")) for number in range(1000)]
    assert {shard_of(topic) for topic in topics} == set(range(SHARDS))


def test_topics_of_channels_that_only_a_later_release_has_are_left_out() -> None:
    """Nobody here could do anything with them."""
    names = [name_of(one).encode() for one in (AAPL, CANDLES)]
    assert topics_of([*names, b"options::US.A", b"nonsense", b""]) == [AAPL, CANDLES]
