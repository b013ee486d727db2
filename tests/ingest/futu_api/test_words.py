from typing import Any

import pytest

from bookcast.errors import InvalidInput
from bookcast.feeds.futu.candles import PERIODS
from bookcast.ingest.futu_api.words import (
    DARK_STATUSES,
    K_TYPES,
    SECURITY_STATUSES,
    SIDES,
    STYLES,
    TICKER_TYPES,
    market_time,
    number_of,
    word,
)
from bookcast.model.topics import Symbol

HK, US = Symbol("HK.00700"), Symbol("US.AAPL")


def test_the_words_are_those_of_the_package(handed_over: dict[str, Any]) -> None:
    """Each means what its number means to the feed."""
    words = handed_over["words"]
    periods = {name: PERIODS[number] for name, number in words["KLType"].items() if number}
    assert periods == K_TYPES
    assert {name: n for n, name in enumerate(TICKER_TYPES)} == words["TickerType"]
    assert {name: n for n, name in enumerate(SECURITY_STATUSES)} == words["SecurityStatus"]
    for ours, theirs in (
        (SIDES, "TickerDirect"),
        (DARK_STATUSES, "DarkStatus"),
        (STYLES, "OptionAreaType"),
    ):
        assert set(ours) == set(words[theirs]) - {"N/A"}


def test_a_word_counts_in_any_letter_case() -> None:
    """Without one, the default holds."""
    assert word(SIDES, "Buy", "x", "neutral") == "buy"
    assert word(SIDES, None, "x", "neutral") == "neutral"
    assert number_of(TICKER_TYPES, "odd_lot", "type") == 6


def test_a_word_that_does_not_exist_is_answered_with_those_that_do() -> None:
    """And with its place."""
    with pytest.raises(InvalidInput, match="BUY, SELL, NEUTRAL") as caught:
        word(SIDES, "LONG", "[3].ticker_direction", "neutral")
    assert caught.value.path == "[3].ticker_direction"


@pytest.mark.parametrize(
    ("given", "symbol", "ms"),
    [
        ("2026-01-05 09:30:00", HK, 1_767_576_600_000),
        ("2026-01-05 09:30:00.250", US, 1_767_623_400_250),
        ("2026-07-06 09:30:00", US, 1_783_344_600_000),
        ("2026-01-05", HK, 1_767_542_400_000),
        ("2026-01-05T09:30:00+08:00", US, 1_767_576_600_000),
        (1_767_576_600_000, US, 1_767_576_600_000),
    ],
)
def test_a_time_is_the_markets_own(given: str | int, symbol: Symbol, ms: float) -> None:
    """Summer time is known; with an offset, or as a number, it is anybody's."""
    assert market_time(given, symbol, "time") == ms


@pytest.mark.parametrize("given", ["today", "09:30:00", "2026-13-01"])
def test_what_is_no_time_is_refused(given: str | int) -> None:
    """By its place."""
    with pytest.raises(InvalidInput, match=r"time: .* is no time"):
        market_time(given, HK, "time")


@pytest.mark.parametrize("given", [1_767_225_600, "1970-01-01 09:30:00"])
def test_a_time_before_1990_is_refused(given: str | int) -> None:
    """With the reason."""
    with pytest.raises(InvalidInput, match="before 1990"):
        market_time(given, HK, "time")
