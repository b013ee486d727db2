from typing import Any, get_args

import pytest

from bookcast.feeds.futu.schema import messages
from bookcast.feeds.futu.topics import (
    SESSIONS,
    SUBTYPES,
    asks_for_session,
    request_group,
    subtype,
    topics_of,
)
from bookcast.model.topics import CHANNELS, ODD, PERIODS, Channel, Symbol, Topic
from bookcast.settings import describe

US, HK = Symbol("US.AAPL"), Symbol("HK.00700")
NAMES = {
    ("quote", ""): "Basic",
    ("orderbook", ""): "OrderBook",
    ("orderbook", ODD): "OrderBook_Odd",
    ("trades", ""): "Ticker",
    ("timeframe", ""): "RT",
    ("brokers", ""): "Broker",
    ("candles", "1m"): "KL_1Min",
    ("candles", "3m"): "KL_3Min",
    ("candles", "5m"): "KL_5Min",
    ("candles", "10m"): "KL_10Min",
    ("candles", "15m"): "KL_15Min",
    ("candles", "30m"): "KL_30Min",
    ("candles", "1h"): "KL_60Min",
    ("candles", "2h"): "KL_120Min",
    ("candles", "3h"): "KL_180Min",
    ("candles", "4h"): "KL_240Min",
    ("candles", "1d"): "KL_Day",
    ("candles", "1w"): "KL_Week",
    ("candles", "1M"): "KL_Month",
    ("candles", "1Q"): "KL_Qurater",
    ("candles", "1Y"): "KL_Year",
}


def connection(*subscribed: tuple[int, int, str]) -> Any:
    """Make what OpenD says of a connection: kinds, markets and codes."""
    told = messages("Qot_Common").ConnSubInfo(usedQuota=len(subscribed), isOwnConnData=True)
    for kind, market, code in subscribed:
        info = told.subInfoList.add(subType=kind)
        info.securityList.add(market=market, code=code)
    return told


def test_every_kind_is_opends() -> None:
    """By OpenD's own names, and none of them is left out."""
    kinds = messages("Qot_Common").SubType
    assert {key: kinds.Value(f"SubType_{name}") for key, name in NAMES.items()} == SUBTYPES
    assert set(SUBTYPES.values()) == set(kinds.values()) - {0}


def test_every_channel_and_period_can_be_subscribed() -> None:
    """OpenD has all that the model has."""
    assert {channel for channel, _ in SUBTYPES} == set(CHANNELS)
    assert {variant for channel, variant in SUBTYPES if channel == "candles"} == set(PERIODS)


def test_sessions_are_opends() -> None:
    """For each choice of the setting."""
    numbers = messages("Common").Session
    assert {
        "regular": numbers.Value("Session_RTH"),
        "extended": numbers.Value("Session_ETH"),
        "all": numbers.Value("Session_ALL"),
    } == SESSIONS
    [setting] = (setting for setting in describe() if setting.field == "futu_session")
    assert set(get_args(setting.type)) == set(SESSIONS)


@pytest.mark.parametrize(
    ("channel", "variant", "symbol", "asks"),
    [
        ("trades", "", US, True),
        ("candles", "1m", US, True),
        ("timeframe", "", US, True),
        ("orderbook", "", US, False),
        ("quote", "", US, False),
        ("trades", "", HK, False),
        ("candles", "1d", HK, False),
        ("trades", "", Symbol("USX.A"), False),
    ],
)
def test_only_some_of_us_stocks_ask_for_a_session(
    channel: Channel, variant: str, symbol: Symbol, asks: bool
) -> None:
    """Trades, candles and time frames."""
    assert asks_for_session(Topic(channel, symbol, variant)) is asks


def test_one_request_has_one_kind_and_one_session() -> None:
    """Symbols of several markets may go together otherwise."""
    assert request_group(Topic("quote", US)) == request_group(Topic("quote", HK))
    assert request_group(Topic("trades", US)) != request_group(Topic("trades", HK))
    assert request_group(Topic("quote", US)) != request_group(Topic("orderbook", US))
    assert request_group(Topic("orderbook", US)) != request_group(Topic("orderbook", US, ODD))
    assert request_group(Topic("candles", HK, "1m")) != request_group(Topic("candles", HK, "5m"))


@pytest.mark.parametrize("key", SUBTYPES)
def test_what_is_subscribed_is_read_back(key: tuple[Channel, str]) -> None:
    """As the topic that asked for it."""
    topic = Topic(key[0], HK, key[1])
    assert topics_of(connection((subtype(topic), 1, "00700"))) == {topic}


def test_what_has_no_topic_is_passed_over() -> None:
    """Kinds and markets of the future."""
    told = connection((1, 11, "AAPL"), (99, 11, "AAPL"), (1, 999, "X"), (2, 1, "00700"))
    assert topics_of(told) == {Topic("quote", US), Topic("orderbook", HK)}
    assert topics_of(connection()) == set()
