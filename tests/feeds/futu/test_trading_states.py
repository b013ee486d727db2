from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bookcast.feeds.futu.markets import MarketState, market_and_code
from bookcast.feeds.futu.schema import messages
from bookcast.feeds.futu.trading_states import (
    FRESH_SECONDS,
    MAX_CODES,
    MAX_REQUESTS,
    SecurityStates,
)
from bookcast.model.topics import Symbol
from tests.budget import examples

US, HK, FUTURE = Symbol("US.AAPL"), Symbol("HK.00700"), Symbol("HK.HSImain")
OPTION = Symbol("US.AAPL260914C332500")
MORNING, CLOSED, PRE, NIGHT, OVERNIGHT = 3, 6, 8, 13, 37


def markets(**states: int) -> Any:
    return messages("GetGlobalState").S2C(qotLogined=True, **states)


def answer(states: dict[Symbol, int]) -> Any:
    s2c = messages("Qot_GetMarketState").S2C()
    for symbol, state in states.items():
        info = s2c.marketInfoList.add(name="", marketState=state)
        info.security.market, info.security.code = market_and_code(symbol)
    return s2c


def told(**states: int) -> SecurityStates:
    made = SecurityStates()
    made.take_markets(markets(**states))
    return made


def test_a_securitys_own_state_counts_more_than_its_markets() -> None:
    """The market's stands in until then."""
    states = told(marketUS=CLOSED)
    assert states.state(US).closed == "the market is closed"
    asked = states.next_request([US], 0)
    states.take(asked, answer({US: OVERNIGHT}), 0)
    assert states.state(US) == MarketState(None, "overnight")


def test_without_any_word_nothing_is_closed() -> None:
    """A field that OpenD leaves out is unknown; one that is 0 says that nothing is traded."""
    assert SecurityStates().state(US) == MarketState()
    assert told(marketUS=CLOSED).state(Symbol("MY.1155")) == MarketState()
    assert told(marketMY=0).state(Symbol("MY.1155")).closed is not None


def test_each_kind_has_its_own_markets_state_before_its_own() -> None:
    """Whatever the stocks do."""
    states = told(marketHK=CLOSED, marketHKFuture=NIGHT, marketUS=CLOSED, marketUSFuture=23)
    assert states.state(FUTURE).session == "night"
    assert states.state(Symbol("US.ESmain")).session == "regular"
    assert states.state(HK).closed is not None


@pytest.mark.parametrize("own", [True, False])
def test_an_option_is_never_in_the_session_before_the_market(own: bool) -> None:
    """Otherwise its state decides."""
    states = told(marketUS=PRE)
    if own:
        states.take(states.next_request([OPTION, US], 0), answer({OPTION: PRE, US: PRE}), 0)
    assert states.state(US).session == "pre"
    assert states.state(OPTION) == MarketState()
    states.take([OPTION], answer({OPTION: MORNING}), 0)
    assert states.state(OPTION).session == "regular"


def test_a_state_is_asked_for_again_after_a_minute() -> None:
    """And a new security at once."""
    states = told()
    states.take(states.next_request([US], 0), answer({US: MORNING}), 0)
    assert states.next_request([US], FRESH_SECONDS - 1) == ()
    assert states.next_request([US, HK], FRESH_SECONDS - 1) == (HK,)
    states.take([HK], answer({HK: MORNING}), FRESH_SECONDS - 1)
    assert states.next_request([US, HK], FRESH_SECONDS + 1) == (US,)


def test_a_state_is_asked_for_at_once_when_its_market_changes() -> None:
    """Of that market alone."""
    states = told(marketUS=MORNING, marketHK=MORNING)
    states.take(states.next_request([US, HK], 0), answer({US: MORNING, HK: MORNING}), 0)
    states.take_markets(markets(marketUS=MORNING, marketHK=MORNING))
    assert states.next_request([US, HK], 5) == ()
    states.take_markets(markets(marketUS=CLOSED, marketHK=MORNING))
    assert states.next_request([US, HK], 5) == (US,)


def test_a_security_that_opend_refuses_spoils_no_others_answer() -> None:
    """The request is halved until it stands alone, and the market's state stands in for it."""
    bad, wanted = Symbol("US.BAD"), [Symbol(f"US.S{number}") for number in range(20)]
    wanted.insert(7, bad)
    states, now = told(marketUS=CLOSED), 0.0
    for _ in range(400):
        asked = states.next_request(wanted, now)
        if bad in asked:
            states.refused(asked, now)
        elif asked:
            states.take(asked, answer(dict.fromkeys(asked, MORNING)), now)
        now += 0.25
    for symbol in wanted:
        assert (states.state(symbol).session == "regular") == (symbol != bad)
    assert states.state(bad).closed == "the market is closed"


def test_of_another_connection_nothing_is_known() -> None:
    """All are asked for anew."""
    states = told(marketUS=MORNING)
    states.take(states.next_request([US], 0), answer({US: PRE}), 0)
    states.disconnected()
    assert states.state(US) == MarketState()
    assert states.next_request([US], 5) == (US,)


@pytest.mark.no_cover
@settings(max_examples=examples(30), deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 3, 401]), st.booleans(), st.sampled_from([0.25, 1.0, 10.0])),
        max_size=15,
    )
)
def test_opends_limits_are_kept(script: list[tuple[int, bool, float]]) -> None:
    """So many codes in a request, so many requests in 30 s; all are asked for in the end."""
    states, now = told(marketUS=MORNING), 0.0
    times: deque[float] = deque()
    wanted: list[Symbol] = []

    def turn() -> None:
        asked = states.next_request(wanted, now)
        if not asked:
            return
        assert len(asked) <= MAX_CODES
        times.append(now)
        assert len([at for at in times if at > now - 30]) <= MAX_REQUESTS
        states.take(asked, answer(dict.fromkeys(asked, CLOSED)), now)

    for count, change, seconds in script:
        wanted = [Symbol(f"US.S{number}") for number in range(count)]
        if change:
            states.take_markets(markets(marketUS=MORNING if int(now) % 2 else CLOSED))
        for _ in range(4):
            turn()
        now += seconds
    for _ in range(160):
        turn()
        now += 0.25
    assert all(states.state(symbol).closed for symbol in wanted)
