import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.model.symbol_list import MAX_NAMED, FeedList
from bookcast.model.topics import Symbol

NAMES = [
    *("US.AAPL", "US.TSLA", "US.GOOGL", "HK.00700", "US.NVDA", "US.MSFT", "US.BRK.B", "HK.09988"),
    "US.TSLL",
]
LIST = FeedList("simulator", [Symbol(name) for name in NAMES])


def meant(symbol: str, listed: FeedList = LIST, market: str = "") -> list[str]:
    return list(listed.hints(Symbol(symbol), lambda one: one.startswith(market))[0])


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        ("US.APPL", ["US.AAPL"]),
        ("US.AAPLE", ["US.AAPL"]),
        ("US.APPLE", ["US.AAPL"]),
        ("US.aapl", ["US.AAPL"]),
        ("US.NVIDIA", ["US.NVDA"]),
        ("US.TSAL", ["US.TSLA", "US.TSLL"]),
        ("US.TESLA", ["US.TSLA", "US.TSLL"]),
        ("US.GOOG", ["US.GOOGL"]),
        ("US.BRK-B", ["US.BRK.B"]),
        ("US.00700", ["HK.00700"]),
        ("HK.700", ["HK.00700"]),
        ("HK.09998", ["HK.09988"]),
        ("US.TSL", ["US.TSLA", "US.TSLL"]),
        ("HK.TSLA", ["US.TSLA", "US.TSLL"]),
        ("US.ZZZZ", []),
        ("US.META", []),
        ("US.X", []),
        ("US." + "A" * 60, []),
    ],
)
def test_near_codes_may_have_been_meant(symbol: str, expected: list[str]) -> None:
    """Slips of a letter or two, another letter case, another market; the nearest first."""
    assert meant(symbol) == expected


def test_forms_of_other_programs_come_first() -> None:
    """As far as the feed has what they mean."""
    forms = {"US.0700.HK": (Symbol("HK.00700"), Symbol("JP.0700"))}
    listed = FeedList("simulator", LIST.symbols, lambda symbol: forms.get(symbol, ()))
    assert meant("US.0700.HK", listed) == ["HK.00700"]


def test_no_more_than_five_are_named_and_only_those_that_somebody_may_see() -> None:
    """What may have been meant leads; the others are the first of each market in turn."""
    assert LIST.hints(Symbol("US.ZZZZ"), lambda _one: True) == (
        (),
        ("US.AAPL", "HK.00700", "US.TSLA", "HK.09988", "US.GOOGL"),
    )
    near, has = LIST.hints(Symbol("HK.0700"), lambda one: one.startswith("HK."))
    assert (near, has) == (("HK.00700",), ("HK.00700", "HK.09988"))
    assert LIST.hints(Symbol("US.AAPLE"), lambda _one: False) == ((), ())
    assert meant("US.00700", market="US.") == []


def test_a_list_knows_what_it_has() -> None:
    """By the canonical spelling."""
    assert Symbol("US.AAPL") in LIST
    assert Symbol("US.aapl") not in LIST


def test_long_lists_cost_little() -> None:
    """Neither in time nor in what is found: many symbols may differ by a letter."""
    listed = FeedList("simulator", [Symbol(f"US.S{number:05}") for number in range(10_000)])
    assert meant("US.S00700x", listed)[0] == "US.S00700"
    begun = time.process_time()
    for number in range(300):
        listed.hints(Symbol(f"US.T{number:05}"), lambda _one: True)
    assert time.process_time() - begun < 3


@given(st.text(min_size=1, max_size=30), st.lists(st.text(min_size=1, max_size=14), max_size=20))
def test_any_code_has_hints_of_the_list(code: str, codes: list[str]) -> None:
    """Never more than a few, each once."""
    listed = FeedList("simulator", [Symbol(f"US.{one}") for one in dict.fromkeys(codes)])
    for named in listed.hints(Symbol(f"US.{code}"), lambda _one: True):
        assert len(named) == len(set(named)) <= MAX_NAMED
        assert all(one in listed for one in named)
