from typing import Any

import pytest

from bookcast.feeds.futu.markets import (
    MARKETS,
    STATE_FIELDS,
    TIME_ZONES,
    MarketState,
    market_and_code,
    market_state,
    state_market_of,
    symbol_of,
)
from bookcast.feeds.futu.schema import messages
from bookcast.model.topics import MARKETS as OF_THE_MODEL
from bookcast.model.topics import Symbol

AAPL = Symbol("US.AAPL")


def security(market: int, code: str) -> Any:
    return messages("Qot_Common").Security(market=market, code=code)


def test_every_market_that_symbols_may_name_has_its_number() -> None:
    """OpenD knows no other; its old one of Hong Kong's futures means Hong Kong."""
    assert set(MARKETS) == OF_THE_MODEL - {"HK_FUTURE"}
    numbers = messages("Qot_Common").QotMarket
    old = numbers.Value("QotMarket_HK_Future")
    assert set(MARKETS.values()) == set(numbers.values()) - {0, old}
    assert symbol_of(security(old, "HSImain")) == "HK.HSImain"


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("HK", "HK_Security"),
        ("US", "US_Security"),
        ("SH", "CNSH_Security"),
        ("SZ", "CNSZ_Security"),
        ("SG", "SG_Security"),
        ("JP", "JP_Security"),
        ("AU", "AU_Security"),
        ("MY", "MY_Security"),
        ("CA", "CA_Security"),
        ("FX", "FX_Security"),
        ("CC", "CC_Security"),
        ("EC", "EventContract"),
    ],
)
def test_the_numbers_are_opends(prefix: str, name: str) -> None:
    """By OpenD's own names."""
    assert MARKETS[prefix] == messages("Qot_Common").QotMarket.Value(f"QotMarket_{name}")


@pytest.mark.parametrize("code", ["AAPL", "BRK.B", "00700", "HSImain", "..SPX"])
@pytest.mark.parametrize("prefix", sorted(MARKETS))
def test_a_symbol_is_found_again_under_its_security(prefix: str, code: str) -> None:
    """Dots belong to the code."""
    symbol = Symbol(f"{prefix}.{code}")
    market, bare = market_and_code(symbol)
    assert bare == code
    assert symbol_of(security(market, bare)) == symbol


def test_a_market_without_a_prefix_has_no_symbols() -> None:
    """It is one of the future."""
    assert symbol_of(security(999, "X")) is None


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("None", MarketState("the market isn't trading now")),
        ("Auction", MarketState(None, "auction")),
        ("WaitingOpen", MarketState("the market hasn't opened yet")),
        ("Morning", MarketState(None, "regular")),
        ("Rest", MarketState("the market has its lunch break", "break")),
        ("Afternoon", MarketState(None, "regular")),
        ("Closed", MarketState("the market is closed")),
        ("PreMarketBegin", MarketState(None, "pre")),
        ("AfterHoursBegin", MarketState(None, "after")),
        ("AfterHoursEnd", MarketState("trading after the market has ended")),
        ("NightOpen", MarketState(None, "night")),
        ("FutureDayOpen", MarketState(None, "regular")),
        ("FutureDayBreak", MarketState("the market has a break", "break")),
        ("HkCas", MarketState(None, "closing_auction")),
        ("FutureNightWait", MarketState("the night session hasn't opened yet")),
        ("FutureAfternoon", MarketState(None, "regular")),
        ("FutureOpen", MarketState(None, "regular")),
        ("FutureBreak", MarketState("the market has a break", "break")),
        ("FutureBreakOver", MarketState(None, "regular")),
        ("AShareAfterHoursWait", MarketState("trading after the market hasn't opened yet")),
        ("AShareAfterHoursBegin", MarketState(None, "after")),
        ("AShareAfterHoursEnd", MarketState("trading after the market has ended")),
        ("CLOSE_AUCTION", MarketState(None, "closing_auction")),
        ("NIGHT", MarketState(None, "night")),
        ("OVERNIGHT_BEGIN", MarketState(None, "overnight")),
        ("OVERNIGHT", MarketState(None, "overnight")),
        ("TRADE_AT_LAST", MarketState(None, "closing_auction")),
        ("TRADE_AUCTION", MarketState(None, "closing_auction")),
    ],
)
def test_a_markets_state_tells_why_nothing_comes_and_which_session_it_is(
    name: str, state: MarketState
) -> None:
    """By OpenD's own names."""
    number = messages("Qot_Common").QotMarketState.Value(f"QotMarketState_{name}")
    assert market_state(number) == state


def test_every_state_is_either_closed_or_has_a_session() -> None:
    """A break is both; a number that OpenD will have one day closes nothing."""
    for number in messages("Qot_Common").QotMarketState.values():
        state = market_state(number)
        assert (state.closed is None) != (state.session is None) or state.session == "break"
    assert market_state(999) == MarketState()


@pytest.mark.parametrize(
    ("symbol", "market"),
    [
        ("US.AAPL", "US"),
        ("US.AAPL260914C332500", "US"),
        ("US..DJI", "US"),
        ("US.ESmain", "US futures"),
        ("HK.00700", "HK"),
        ("HK.TCH260929C350000", "HK"),
        ("HK.HSI260929C24000000", "HK futures"),
        ("HK.HSImain", "HK futures"),
        ("HK_FUTURE.HSImain", "HK futures"),
        ("SG.CNmain", "SG futures"),
        ("SG.D05", "SG"),
        ("JP.NK225main", "JP futures"),
        ("JP.7203", "JP"),
        ("MY.1155", "MY"),
        ("CC.BTCUSD", "CC"),
    ],
)
def test_futures_have_hours_of_their_own(symbol: str, market: str) -> None:
    """And so have options on the indexes of Hong Kong."""
    assert state_market_of(Symbol(symbol)) == market


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("close", ["Closed", "NightEnd", "FutureDayClose", "FutureClose", "AFTERNOON_END"]),
        ("break", ["Rest", "FutureDayBreak", "FutureBreak"]),
        ("open", ["WaitingOpen", "FutureDayWaitForOpen"]),
        ("ended", ["PreMarketEnd", "AfterHoursEnd", "OVERNIGHT_END"]),
    ],
)
def test_the_words_fit_opends_names(words: str, names: list[str]) -> None:
    """What ends is closed, what waits isn't open yet."""
    states = messages("Qot_Common").QotMarketState
    for name in names:
        assert words in (market_state(states.Value(f"QotMarketState_{name}")).closed or "")


def test_the_fields_are_there() -> None:
    """Where states are looked for."""
    state = set(messages("GetGlobalState").S2C.DESCRIPTOR.fields_by_name)
    assert set(STATE_FIELDS.values()) <= state
    assert {market.partition(" ")[0] for market in STATE_FIELDS} <= set(MARKETS)
    assert set(TIME_ZONES) <= set(MARKETS)
