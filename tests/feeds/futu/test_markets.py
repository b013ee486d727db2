from typing import Any

import pytest

from bookcast.feeds.futu.markets import (
    MARKETS,
    NO_PUSH,
    RIGHT_FIELDS,
    RIGHTS,
    STATE_FIELDS,
    TIME_ZONES,
    MarketState,
    market_and_code,
    market_state,
    missing_right,
    rights_of,
    symbol_of,
)
from bookcast.feeds.futu.schema import messages
from bookcast.model import MARKETS as OF_THE_MODEL
from bookcast.model import Symbol

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
        ("None", MarketState(None, None)),
        ("Auction", MarketState(None, "regular")),
        ("Morning", MarketState(None, "regular")),
        ("Afternoon", MarketState(None, "regular")),
        ("Rest", MarketState("the market has its lunch break", None)),
        ("Closed", MarketState("the market is closed", None)),
        ("PreMarketBegin", MarketState(None, "pre")),
        ("AfterHoursBegin", MarketState(None, "after")),
        ("AfterHoursEnd", MarketState("trading after the market has ended", None)),
        ("OVERNIGHT", MarketState(None, "overnight")),
        ("OVERNIGHT_BEGIN", MarketState(None, "overnight")),
        ("FutureDayClose", MarketState("the market is closed", None)),
        ("FutureOpen", MarketState(None, None)),
        ("HkCas", MarketState(None, None)),
    ],
)
def test_a_markets_state_tells_why_nothing_comes_and_which_session_it_is(
    name: str, state: MarketState
) -> None:
    """By OpenD's own names."""
    number = messages("Qot_Common").QotMarketState.Value(f"QotMarketState_{name}")
    assert market_state(number) == state


def test_no_state_is_open_and_closed_at_once() -> None:
    """And those that are unknown close nothing."""
    for number in messages("Qot_Common").QotMarketState.values():
        state = market_state(number)
        assert state.closed is None or state.session is None
    assert market_state(999) == MarketState()


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
    """Where states and rights are looked for."""
    state = set(messages("GetGlobalState").S2C.DESCRIPTOR.fields_by_name)
    assert set(STATE_FIELDS.values()) <= state
    assert set(STATE_FIELDS) <= OF_THE_MODEL
    for rights in (messages("GetUserInfo").S2C, messages("Notify").QotRight):
        assert set(RIGHT_FIELDS.values()) <= set(rights.DESCRIPTOR.fields_by_name)
    assert set(RIGHTS) == set(messages("Qot_Common").QotRight.values()) - {0}
    assert {RIGHTS[number] for number in NO_PUSH} == {"BMP", "none"}
    assert set(TIME_ZONES) <= set(MARKETS)


def test_rights_are_read_as_far_as_they_are_told() -> None:
    """What is left out, or unknown to OpenD itself, is unknown."""
    told = messages("GetUserInfo").S2C(hkQotRight=3, usQotRight=5, shQotRight=0, subQuota=100)
    assert rights_of(told) == {"HK stocks": 3, "US stocks": 5}
    assert rights_of(messages("Notify").QotRight(jpFutureQotRight=1)) == {"JP futures": 1}


@pytest.mark.parametrize(
    ("symbol", "rights", "sentence"),
    [
        ("US.AAPL", {"US stocks": 5}, "the account's right for US stocks is none"),
        (
            "HK.00700",
            {"HK stocks": 1},
            "the account's right for HK stocks is BMP, which has snapshots only",
        ),
        ("CC.BTCUSD", {"crypto": 5}, "the account's right for crypto is none"),
        ("EC.X", {"event contracts": 5}, "the account's right for event contracts is none"),
        ("HK_FUTURE.HSImain", {"HK futures": 5}, "the account's right for HK futures is none"),
        ("US.AAPL", {"US stocks": 2, "HK stocks": 5}, None),
        ("US.AAPL", {}, None),
        ("FX.EURUSD", {"US stocks": 5}, None),
    ],
)
def test_a_missing_right_explains_a_refusal(
    symbol: str, rights: dict[str, int], sentence: str | None
) -> None:
    """That of the symbol's own market, and only if it is known to be missing."""
    assert missing_right(Symbol(symbol), rights) == sentence
