"""What reads alone may take of the quota."""

from __future__ import annotations

from functools import partial

import pytest

from bookcast.feeds.futu.quota import Amount, Pools, units_of
from bookcast.feeds.futu.read_quota import Spare, in_words
from bookcast.model.feed_state import Quota, QuotaPool
from bookcast.model.topics import Symbol, Topic

CHAIN = [Topic("quote", Symbol(f"US.X260914C{strike}000")) for strike in (1, 2, 3)]
OTHER_CHAIN = Topic("quote", Symbol("US.X260918C1000"))
BOOK, BROKERS, NEXT = (
    Topic("orderbook", Symbol("HK.00001")),
    Topic("brokers", Symbol("HK.00001")),
    Topic("orderbook", Symbol("HK.00002")),
)


def pools(*held: Topic, stock: int = 100, option: int = 5) -> Pools:
    made = Pools(partial(units_of, sf=True), sf_securities=5)
    made.told({"stock": Amount(0, stock), "option": Amount(0, option)}, (), 0)
    for topic in held:
        made.hold(topic, 0)
    return made


def test_topics_that_share_a_unit_take_it_once() -> None:
    """A chain of options, a security of Hong Kong; each pool has its own fifth."""
    left = Spare(pools(), (), (), 0)
    left.take(CHAIN[0])
    assert left.lacking(CHAIN[1]) == []
    assert left.lacking(OTHER_CHAIN) == ["option"]
    left.take(BOOK)
    assert left.lacking(BROKERS) == []
    assert left.lacking(NEXT) == ["sf_book"]
    assert left.quota("sf_book") == Quota(1, 1, None, "sf_book")


def test_what_a_subscriber_has_costs_reads_nothing() -> None:
    """While they have it; what reads hold alone is counted."""
    made = pools(CHAIN[0], CHAIN[1])
    assert Spare(made, [CHAIN[1]], (), 0).lacking(OTHER_CHAIN) == []
    assert Spare(made, [CHAIN[0], CHAIN[1]], (), 0).lacking(OTHER_CHAIN) == ["option"]
    assert Spare(made, [CHAIN[0], CHAIN[1]], (), 0).lacking(CHAIN[2]) == []
    made.told({"stock": Amount(0, 100), "option": Amount(0, 5)}, [OTHER_CHAIN], 0)
    assert Spare(made, [CHAIN[0], CHAIN[1]], (), 0).lacking(OTHER_CHAIN) == []


def test_nothing_is_left_of_what_a_subscriber_waits_for() -> None:
    """Other pools are no concern of theirs."""
    left = Spare(pools(), (), [NEXT], 0)
    assert left.lacking(BOOK) == ["stock", "sf_book"]
    assert left.lacking(CHAIN[0]) == []


def test_what_is_above_the_share_is_named() -> None:
    """Who came first stays."""
    made = pools(BOOK, NEXT, CHAIN[0])
    assert Spare(made, [BOOK, NEXT, CHAIN[0]], (), 0).over == [NEXT]
    assert Spare(made, [NEXT], (), 0).over == []


@pytest.mark.parametrize("pool", ["stock", "option", "sf_book"])
def test_why_a_read_waits_is_said_in_words(pool: QuotaPool) -> None:
    """Because of others who read, or of those who subscribe."""
    assert "1 of 1 are taken" in in_words(Quota(1, 1, None, pool))
    assert "is for those who subscribe" in in_words(Quota(0, 1, None, pool))
