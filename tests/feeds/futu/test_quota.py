from __future__ import annotations

from functools import partial

import pytest

from bookcast.feeds.futu.quota import Amount, Planned, Pools, Unit, amounts_of, in_words, units_of
from bookcast.feeds.futu.schema import messages
from bookcast.model.feed_state import Quota, QuotaPool
from bookcast.model.topics import Channel, Symbol, Topic

CALL = "US.AAPL260914C332500"
PUT = "US.AAPL260914P300000"
LATER = "US.AAPL260918C332500"
TENCENT = "HK.00700"


def topic(symbol: str, channel: Channel = "orderbook") -> Topic:
    return Topic(channel, Symbol(symbol))


def pools(*, sf: bool = False, sf_securities: int = 50, **left: int) -> Pools:
    made = Pools(partial(units_of, sf=sf), sf_securities=sf_securities)
    amounts: dict[QuotaPool, Amount] = {"stock": Amount(0, left.get("stock", 9))}
    if "option" in left:
        amounts["option"] = Amount(0, left["option"])
    made.told(amounts, (), 0)
    return made


@pytest.mark.parametrize(
    ("symbol", "channel", "sf", "expected"),
    [
        ("US.AAPL", "orderbook", True, ["stock"]),
        (CALL, "orderbook", True, ["option"]),
        (TENCENT, "orderbook", False, ["stock"]),
        (TENCENT, "orderbook", True, ["stock", "sf_book"]),
        (TENCENT, "brokers", True, ["stock", "sf_book"]),
        (TENCENT, "quote", True, ["stock"]),
        ("HK.HSImain", "orderbook", True, ["stock"]),
        ("HK.TCH260929C350000", "orderbook", True, ["option"]),
    ],
)
def test_a_topic_takes_units_of_its_pools(
    symbol: str, channel: Channel, sf: bool, expected: list[str]
) -> None:
    """Books of Hong Kong count twice with the SF right, options never with the stocks."""
    assert [unit.pool for unit in units_of(topic(symbol, channel), sf=sf)] == expected


def test_options_of_one_chain_share_a_unit_for_each_kind_of_data() -> None:
    """Another expiry, or another kind of data, is another unit."""
    assert units_of(topic(CALL)) == units_of(topic(PUT))
    assert units_of(topic(CALL)) != units_of(topic(LATER))
    assert units_of(topic(CALL)) != units_of(topic(CALL, "quote"))


def test_a_book_and_the_brokers_of_a_security_share_its_place_with_sf() -> None:
    """The place is the security's."""
    made = pools(sf=True, sf_securities=1)
    made.hold(topic(TENCENT), 0)
    assert made.lacking(topic(TENCENT, "brokers"), 0) == []
    assert [unit.pool for unit in made.lacking(topic("HK.00005"), 0)] == ["sf_book"]
    assert made.lacking(topic("HK.00005", "quote"), 0) == []


def test_a_full_pool_holds_up_its_own_topics_alone() -> None:
    """Options don't wait for stocks, nor stocks for options."""
    made = pools(stock=0, option=1)
    assert made.lacking(topic(CALL), 0) == []
    assert made.lacking(topic("US.AAPL"), 0) == [Unit("stock", topic("US.AAPL"))]
    made.hold(topic(CALL), 0)
    assert made.lacking(topic(PUT), 0) == []
    assert [unit.pool for unit in made.lacking(topic(LATER), 0)] == ["option"]
    assert made.quota("option", None) == Quota(1, 1, None, "option")


def test_a_pool_that_opend_does_not_tell_of_has_no_bound() -> None:
    """An older OpenD counts options without saying so."""
    assert pools(stock=0).lacking(topic(CALL), 0) == []


def test_what_others_have_costs_nothing_and_frees_nothing() -> None:
    """Also when it is another option of the same chain."""
    made = Pools()
    made.told({"stock": Amount(1, 0), "option": Amount(1, 0)}, [topic(PUT)], 0)
    assert made.lacking(topic(CALL), 0) == []
    made.hold(topic(CALL), 0)
    assert list(made.groups("option")) == []
    made.drop(topic(CALL))
    assert made.quota("option", None).used == 1


def test_a_refusal_while_a_pool_is_empty_is_for_want_of_quota() -> None:
    """Even where a shared unit should have been free."""
    made = pools(option=1)
    made.hold(topic(CALL), 0)
    assert not made.has_room([topic(PUT)], 0)
    made.run_out([topic(PUT)], 0)
    assert [unit.pool for unit in made.lacking(topic(PUT), 0)] == ["option"]
    made.told({"stock": Amount(0, 9), "option": Amount(1, 3)}, (), 0)
    assert made.lacking(topic(PUT), 0) == []
    assert made.has_room([topic(PUT)], 0)


def test_a_refusal_while_there_is_room_is_about_something_else() -> None:
    """A wrong code, or a missing right."""
    assert pools(stock=1, option=1).has_room([topic(CALL)], 0)
    assert pools(stock=1).has_room([topic("US.NOPE")], 0)


def test_a_right_that_comes_changes_what_counts() -> None:
    """With SF, what is held already takes its place."""
    sf = False
    made = Pools(lambda one: units_of(one, sf=sf), sf_securities=1)
    made.told({"stock": Amount(0, 9)}, (), 0)
    made.hold(topic(TENCENT), 0)
    sf = True
    made.told({"stock": Amount(1, 8)}, (), 0)
    assert [unit.pool for unit in made.lacking(topic("HK.00005"), 0)] == ["sf_book"]


def test_the_securities_of_others_and_of_the_last_connection_count_for_sf() -> None:
    """OpenD doesn't say how many there are."""
    made = pools(sf=True, sf_securities=3)
    made.hold(topic("HK.00001"), 0)
    made.disconnected({topic("HK.00001"): 60.0})
    made.told({"stock": Amount(1, 9)}, [topic("HK.00002"), topic("HK.00002", "brokers")], 1)
    assert made.quota("sf_book", None) == Quota(2, 3, None, "sf_book")
    made.told({"stock": Amount(1, 9)}, (), 61)
    assert made.quota("sf_book", None) == Quota(0, 3, None, "sf_book")


def test_what_is_planned_is_counted_before_it_is_done() -> None:
    """Two that share a unit plan it once."""
    made, planned = pools(option=1), Planned()
    made.plan(topic(CALL), 0, planned)
    assert made.lacking(topic(PUT), 0, planned) == []
    assert made.lacking(topic(LATER), 0, planned) != []
    planned.free(Unit("option", "whatever"))
    assert made.lacking(topic(LATER), 0, planned) == []


def told(**fields: int) -> object:
    return messages("Qot_GetSubInfo").S2C(**fields)


@pytest.mark.parametrize(
    ("answer", "amounts"),
    [
        ({"totalUsedQuota": 0, "remainQuota": 0}, {}),
        ({"totalUsedQuota": 3, "remainQuota": 0}, {"stock": Amount(3, 0)}),
        (
            {
                "totalUsedQuota": 0,
                "remainQuota": 9,
                "optionUsedQuota": 4,
                "optionRemainQuota": 56,
            },
            {"stock": Amount(0, 9), "option": Amount(4, 56)},
        ),
        (
            {"totalUsedQuota": 1, "remainQuota": 9, "optionUsedQuota": 0, "optionRemainQuota": 0},
            {"stock": Amount(1, 9), "option": Amount(0, 0)},
        ),
    ],
)
def test_a_set_zero_is_an_amount_and_an_absent_one_is_not(
    answer: dict[str, int], amounts: dict[str, Amount]
) -> None:
    """An account may have no options at all."""
    assert amounts_of(told(**answer)) == amounts


@pytest.mark.parametrize("pool", ["stock", "option", "sf_book"])
def test_every_pool_says_what_is_waited_for(pool: QuotaPool) -> None:
    """With both numbers."""
    words = in_words(Quota(49, 51, None, pool))
    assert "49" in words
    assert "51" in words
