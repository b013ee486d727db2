import pytest

from bookcast.feeds.futu import vendor_codes
from bookcast.feeds.futu.markets import MARKETS
from bookcast.feeds.futu.symbol_hints import hints
from bookcast.model.topics import Symbol, parse_symbol

NAMED = {
    "EXCHANGES": vendor_codes.EXCHANGES,
    "SUFFIXES": vendor_codes.SUFFIXES,
    "BLOOMBERG": vendor_codes.BLOOMBERG,
}


@pytest.mark.parametrize("table", NAMED)
def test_every_name_of_a_market_means_one_that_opend_has(table: str) -> None:
    """CN is Shanghai or Shenzhen, as the number says."""
    for name, markets in NAMED[table].items():
        assert name == name.upper()
        assert markets
        assert set(markets) <= set(MARKETS) | {"CN"} - {"EC"}


@pytest.mark.parametrize("name", sorted(vendor_codes.INDEX_NAMES))
def test_every_index_is_in_opends_form(name: str) -> None:
    """It has no hint itself, and is found by the names that others give it."""
    symbol = vendor_codes.INDEX_NAMES[name]
    assert parse_symbol(symbol, "CA") == symbol
    assert hints(Symbol(symbol)) == ()
    assert hints(parse_symbol(f"^{name}", "US"))[0] == symbol


@pytest.mark.parametrize("root", sorted(vendor_codes.FUTURES))
def test_every_future_is_in_opends_form(root: str) -> None:
    """Its main contract has no hint itself."""
    market = vendor_codes.FUTURES[root]
    assert market in MARKETS
    assert hints(Symbol(f"{market}.{root}main")) == ()
    assert hints(Symbol(f"US.{root}=F")) == (f"{market}.{root}main",)


def test_the_letters_of_months_are_the_exchanges() -> None:
    """From F for January to Z for December."""
    assert [vendor_codes.MONTHS[letter] for letter in "FHMUZ"] == ["01", "03", "06", "09", "12"]
    assert len(vendor_codes.MONTHS) == 12


def test_no_currency_is_a_coin() -> None:
    """A pair of them isn't looked for among cryptocurrencies."""
    assert not vendor_codes.FIAT & set(vendor_codes.COINS)
    assert set(vendor_codes.CLOSE) <= set(vendor_codes.EXCHANGES)
