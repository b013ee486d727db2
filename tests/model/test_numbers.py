from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.model.market_data import (
    Broker,
    Brokers,
    ExtendedQuote,
    FutureFigures,
    OptionFigures,
    Quote,
    Trade,
    Trades,
)
from bookcast.model.numbers import Number, bounds, whole, with_whole

finite = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (134.0, "134"),
        (-0.0, "0"),
        (0.5, "0.5"),
        (1e15, "1000000000000000"),
        (7, "7"),
        (5e-324, "5e-324"),
    ],
)
def test_whole_numbers_are_integers(value: Number, text: str) -> None:
    """-0 is one, and what has a fraction stays as it is."""
    assert repr(whole(value)) == text


@given(finite)
def test_a_number_stays_the_same_number(value: float) -> None:
    """It is an integer where it has no fraction."""
    assert whole(value) == value
    assert isinstance(whole(value), int) is (value % 1 == 0)


def test_whole_numbers_are_found_in_all_that_a_struct_holds() -> None:
    """In Structs and tuples within it; texts and truths stay."""
    quote = Quote(
        last=134.0,
        open=133.5,
        suspended=True,
        name="1.0",
        pre=ExtendedQuote(change=-0.0),
        option=OptionFigures(strike=100.0, delta=0.5),
        future=FutureFigures(oi=1e3),
    )
    assert repr(with_whole(quote)) == repr(
        Quote(
            last=134,
            open=133.5,
            suspended=True,
            name="1.0",
            pre=ExtendedQuote(change=0),
            option=OptionFigures(strike=100, delta=0.5),
            future=FutureFigures(oi=1000),
        )
    )
    brokers = Brokers((Broker(1, "one", 1, size=3.0),), (Broker("2", "two", 1),))
    assert repr(with_whole(brokers).bids[0].size) == "3"


def test_what_is_exact_is_not_made_anew() -> None:
    """Most of what comes is."""
    trades = Trades((Trade(1.5, 2, "buy", 3), Trade(1, 2, "sell", 3)))
    assert with_whole(trades) is trades


UP, DOWN = math.inf, -math.inf


@pytest.mark.parametrize(
    ("given_bounds", "others", "found"),
    [
        ((0.3, 0.1), (0.2, 0.1 + 0.2), (0.1 + 0.2, 0.1)),
        ((0.5, 0.1 + 0.2), (0.3, 0.5), (0.5, 0.3)),
        ((0.1 + 0.2, 0.1 + 0.2), (0.3, 0.3), (0.1 + 0.2, 0.3)),
        ((4.35 * 100, 434), (435, 434.5), (435, 434)),
        ((-0.3, -0.4), (-0.3, -(0.1 + 0.3)), (-0.3, -0.4)),
        ((2.0, 1.0), (1.5, 1.0), (2.0, 1.0)),
        ((0, 0), (5e-324, 0), (5e-324, 0)),
        ((100, 99), (101, 99), (100, 99)),
        ((0.3, 0.1), (0.3000000000000001, 0.2), (0.3, 0.1)),
    ],
)
def test_a_candles_bound_that_misses_a_price_by_one_bit_becomes_that_price(
    given_bounds: tuple[Number, Number], others: tuple[Number, Number], found: tuple[Number, Number]
) -> None:
    """Either of them, or both; what misses by more stays."""
    assert bounds(*given_bounds, others) == found


@given(finite.filter(lambda price: abs(price) < 2**53))
def test_one_bit_is_the_float64_beside_it(price: float) -> None:
    """Whatever its magnitude; two bits are too many."""
    above = math.nextafter(price, UP)
    assert bounds(price, price, (price, above)).high == above
    assert bounds(above, above, (price, above)).low == price
    further = math.nextafter(above, UP)
    assert bounds(price, price, (further, price)).high == price
    assert bounds(further, further, (further, price)).low == further
