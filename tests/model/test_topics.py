import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.errors import InvalidInput
from bookcast.model.topics import MARKETS, Symbol, Topic, names_of, parse_symbol


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AAPL", "US.AAPL"),
        ("US.AAPL", "US.AAPL"),
        ("HK.00700", "HK.00700"),
        ("BRK.B", "US.BRK.B"),
        ("US.BRK.B", "US.BRK.B"),
        ("US..DJI", "US..DJI"),
        ("HK.HSImain", "HK.HSImain"),
    ],
)
def test_a_symbol_without_a_market_is_of_the_default_market(text: str, expected: str) -> None:
    """Only a prefix from the list of markets is a market."""
    assert parse_symbol(text, "US") == expected


@pytest.mark.parametrize(
    ("text", "default_market", "expected"),
    [
        ("HK_FUTURE.HSImain", "US", "HK.HSImain"),
        ("HK_FUTURE.MHI2512", "US", "HK.MHI2512"),
        ("HK_FUTURE.X", "US", "HK.X"),
        ("HSImain", "HK_FUTURE", "HK.HSImain"),
        ("HK_FUTURE.US.AAPL", "US", "HK.US.AAPL"),
    ],
)
def test_the_old_market_of_hong_kongs_futures_is_hong_kong(
    text: str, default_market: str, expected: str
) -> None:
    """One future is one symbol, however its market is written."""
    assert parse_symbol(text, default_market) == expected


@pytest.mark.parametrize(
    ("symbol", "names"),
    [
        ("HK.HSImain", ("HK.HSImain", "HK_FUTURE.HSImain")),
        ("HK.MHI2512", ("HK.MHI2512", "HK_FUTURE.MHI2512")),
        ("HK.00700", ("HK.00700",)),
        ("HK.800000", ("HK.800000",)),
        ("HK.TCH260929C350000", ("HK.TCH260929C350000",)),
        ("US.ESmain", ("US.ESmain",)),
    ],
)
def test_only_what_may_be_a_future_of_hong_kong_has_two_names(
    symbol: str, names: tuple[str, ...]
) -> None:
    """A right to futures is none to stocks, indexes and options."""
    assert names_of(Symbol(symbol)) == names


@pytest.mark.parametrize(
    "text", ["", " AAPL", "AAPL ", "A\nB", "US.", "HK_FUTURE.", "x" * 65, "\x00"]
)
def test_what_cannot_be_a_symbol_is_refused(text: str) -> None:
    """Empty, padded, unprintable, too long or codeless texts are no symbols."""
    with pytest.raises(InvalidInput) as caught:
        parse_symbol(text, "US")
    assert caught.value.code == "invalid_symbol"


@given(st.text(max_size=70))
def test_a_canonical_symbol_stays_itself(text: str) -> None:
    """Parsing what parsing gave changes nothing, whatever the default market."""
    try:
        symbol = parse_symbol(text, "US")
    except InvalidInput:
        return
    assert symbol.partition(".")[0] in MARKETS
    if len(symbol) <= 64:
        assert parse_symbol(symbol, "HK") == symbol


def test_a_topic_reads_as_channel_and_symbol() -> None:
    """Logs name a topic in one word."""
    assert str(Topic("orderbook", Symbol("US.AAPL"))) == "orderbook:US.AAPL"
    assert str(Topic("orderbook", Symbol("US.AAPL"), "odd")) == "orderbook:US.AAPL:odd"
