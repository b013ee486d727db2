import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.errors import InvalidInput
from bookcast.feeds.futu.symbol_hints import MAX_HINTS, hints
from bookcast.feeds.futu.vendor_codes import EXCHANGES, FUTURES, INDEXES, SUFFIXES
from bookcast.model.topics import MARKETS, Symbol, parse_symbol


def meant(text: str, default_market: str = "US") -> list[str]:
    """Return the hints for a symbol that is written so."""
    return list(hints(parse_symbol(text, default_market)))


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("aapl", "US.AAPL"),
        ("us.aapl", "US.AAPL"),
        ("US.aapl", "US.AAPL"),
        ("Us.Brk.b", "US.BRK.B"),
        ("hk.00700", "HK.00700"),
        ("hk_future.hsimain", "HK.HSImain"),
        ("HK.hsimain", "HK.HSImain"),
        ("HK.HSIMAIN", "HK.HSImain"),
        ("HK_FUTURE.HSICURRENT", "HK.HSIcurrent"),
        ("US.esMain", "US.ESmain"),
        ("sg.cnmain", "SG.CNmain"),
        ("nk225main", "JP.NK225main"),
        ("hk.mhi2512", "HK.MHI2512"),
        ("HK.bk1001", "HK.BK1001"),
        ("hk.tch260929c350000", "HK.TCH260929C350000"),
        ("us.aapl260914c332500", "US.AAPL260914C332500"),
        ("cc.btcusd", "CC.BTCUSD"),
    ],
)
def test_the_case_of_letters(text: str, symbol: str) -> None:
    """Capitals, but for the words behind a future's name."""
    assert meant(text) == [symbol]


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("AAPL.US", "US.AAPL"),
        ("brk.b.us", "US.BRK.B"),
        ("0700.HK", "HK.00700"),
        ("700.HK", "HK.00700"),
        ("9988.hk", "HK.09988"),
        ("600519.SH", "SH.600519"),
        ("600519.SS", "SH.600519"),
        ("600519.XSHG", "SH.600519"),
        ("000001.SZ", "SZ.000001"),
        ("000001.SS", "SH.000001"),
        ("300750.XSHE", "SZ.300750"),
        ("600519.SZ", "SH.600519"),
        ("7203.T", "JP.7203"),
        ("285A.T", "JP.285A"),
        ("D05.SI", "SG.D05"),
        ("1155.KL", "MY.1155"),
        ("BHP.AX", "AU.BHP"),
        ("SHOP.TO", "CA.SHOP"),
        ("AAPL.O", "US.AAPL"),
        ("IBM.N", "US.IBM"),
        ("AAPL US Equity", "US.AAPL"),
        ("700 HK", "HK.00700"),
        ("600519 CH Equity", "SH.600519"),
        ("AAPL-US", "US.AAPL"),
        ("AAPL.NASDAQ", "US.AAPL"),
    ],
)
def test_the_suffixes_of_other_vendors(text: str, symbol: str) -> None:
    """Yahoo's, Reuters', Bloomberg's, FactSet's and those of Chinese programs."""
    assert meant(text) == [symbol]


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("NASDAQ:AAPL", "US.AAPL"),
        ("nyse:brk.b", "US.BRK.B"),
        ("NYSE:BRK-B", "US.BRK.B"),
        ("NYSE American:IMO", "US.IMO"),
        ("HKEX:700", "HK.00700"),
        ("HKG:0005", "HK.00005"),
        ("SSE:600519", "SH.600519"),
        ("SHA:600519", "SH.600519"),
        ("SZSE:000001", "SZ.000001"),
        ("SHE:300750", "SZ.300750"),
        ("TSE:7203", "JP.7203"),
        ("TYO:7203", "JP.7203"),
        ("TSE:SHOP", "CA.SHOP"),
        ("SGX:D05", "SG.D05"),
        ("ASX:BHP", "AU.BHP"),
        ("us:aapl", "US.AAPL"),
        ("(NASDAQ: AAPL)", "US.AAPL"),
        ("NASDAQ.AAPL", "US.AAPL"),
        ("AAPL:US", "US.AAPL"),
        ("700:HK", "HK.00700"),
        ("600519:CH", "SH.600519"),
        ("AAPL:NSQ", "US.AAPL"),
        ("HK:00700", "HK.00700"),
        ("HK-00700", "HK.00700"),
        ("hk00700", "HK.00700"),
        ("sh600519", "SH.600519"),
        ("sz.000001", "SZ.000001"),
        ("SHSE.600519", "SH.600519"),
        ("gb_aapl", "US.AAPL"),
        ("CME_MINI:ES1!", "US.ESmain"),
        ("HKEX:HSI1!", "HK.HSImain"),
    ],
)
def test_the_prefixes_of_exchanges_and_markets(text: str, symbol: str) -> None:
    """With a colon, and as programs write them without one."""
    assert meant(text) == [symbol]


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("700", ["HK.00700"]),
        ("0700", ["HK.00700"]),
        ("00700", ["HK.00700"]),
        ("HK.700", ["HK.00700"]),
        ("HK.000700", ["HK.00700"]),
        ("HK_FUTURE.700", ["HK.00700"]),
        ("7203", ["HK.07203", "JP.7203"]),
        ("800000", ["HK.800000"]),
        ("600519", ["SH.600519"]),
        ("688981", ["SH.688981"]),
        ("900901", ["SH.900901"]),
        ("510300", ["SH.510300"]),
        ("300750", ["SZ.300750"]),
        ("200011", ["SZ.200011"]),
        ("159915", ["SZ.159915"]),
        ("002594", ["SZ.002594"]),
        ("000001", ["SZ.000001", "SH.000001"]),
        ("113050", ["SZ.113050", "SH.113050"]),
        ("SZ.600519", ["SH.600519"]),
        ("SH.300750", ["SZ.300750"]),
        ("US.00700", ["HK.00700"]),
        ("\uff12\uff13\uff13\uff10", ["HK.02330", "JP.2330"]),
        ("430047", []),
        ("0", []),
        ("1234567", []),
    ],
)
def test_bare_numbers(text: str, symbols: list[str]) -> None:
    """Up to five digits are Hong Kong's, six are Shanghai's or Shenzhen's by their range."""
    assert meant(text) == symbols


@pytest.mark.parametrize("text", ["BRK-B", "brk-b", "BRK/B", "BRK B", "BRK_B", "US.BRK-B"])
def test_share_classes(text: str) -> None:
    """OpenD writes them with a dot."""
    assert meant(text) == ["US.BRK.B"]


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("BTC-USD", "CC.BTCUSD"),
        ("BTC/USD", "CC.BTCUSD"),
        ("btc_usdt", "CC.BTCUSD"),
        ("BTCUSDT", "CC.BTCUSD"),
        ("BTCUSD", "CC.BTCUSD"),
        ("btcusd", "CC.BTCUSD"),
        ("XBTUSD", "CC.BTCUSD"),
        ("ETH-USDC", "CC.ETHUSD"),
        ("PEPE-USD", "CC.PEPEUSD"),
        ("BINANCE:ETHUSDT", "CC.ETHUSD"),
        ("BINANCE:BTCUSDT.P", "CC.BTCUSD"),
        ("X:BTCUSD", "CC.BTCUSD"),
        ("CC.BTC-USD", "CC.BTCUSD"),
        ("CC.BTC", "CC.BTCUSD"),
        ("HK.BTC-USD", "CC.BTCUSD"),
    ],
)
def test_cryptocurrencies(text: str, symbol: str) -> None:
    """Against the dollar, or a coin that stands for it."""
    assert meant(text) == [symbol]


def test_a_coin_without_its_currency_may_be_a_ticker_too() -> None:
    """There are funds that are called so."""
    assert meant("btc") == ["US.BTC", "CC.BTCUSD"]
    assert meant("BTC") == []


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("AAPL  260914C00332500", "US.AAPL260914C332500"),
        ("AAPL260914C00332500", "US.AAPL260914C332500"),
        ("aapl 260914p00005000", "US.AAPL260914P5000"),
        ("US.AAPL260914C00332500", "US.AAPL260914C332500"),
        ("O:AAPL260914C00332500", "US.AAPL260914C332500"),
        ("AAPL260914C00332500.US", "US.AAPL260914C332500"),
        ("HK.TCH260929C00500000", "HK.TCH260929C500000"),
        ("HK.HSI260929P00025000", "HK.HSI260929P25000"),
        (".AAPL260914C332.5", "US.AAPL260914C332500"),
        ("-AAPL260914C332.5", "US.AAPL260914C332500"),
        ("AAPL_091426C332.5", "US.AAPL260914C332500"),
        ("SPXW  260914C05000000", "US.SPXW260914C5000000"),
        ("TSLA  271217P00000500", "US.TSLA271217P500"),
    ],
)
def test_options(text: str, symbol: str) -> None:
    """The strike is in thousandths, without zeros before it."""
    assert meant(text) == [symbol]


@pytest.mark.parametrize("text", ["AAPL  261314C00332500", "AAPL  260900C00332500", "A260914C0"])
def test_what_only_looks_like_an_option(text: str) -> None:
    """There is no such day, or no strike."""
    assert meant(text) == []


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("^GSPC", ["US..SPX"]),
        ("^DJI", ["US..DJI"]),
        ("^IXIC", ["US..IXIC"]),
        ("^HSI", ["HK.800000"]),
        ("^VIX", ["US..VIX"]),
        ("^XYZ", ["US..XYZ"]),
        ("$SPX", ["US..SPX"]),
        ("$SPX.X", ["US..SPX"]),
        ("$COMP", ["US..IXIC"]),
        ("SPX", ["US..SPX"]),
        ("dji", ["US..DJI"]),
        ("HSI", ["HK.800000"]),
        ("HK.HSI", ["HK.800000", "HK.HSImain"]),
        (".spx", ["US..SPX"]),
        ("I:SPX", ["US..SPX"]),
        ("INDEXSP:.INX", ["US..SPX"]),
        ("SPX Index", ["US..SPX"]),
        ("HSTECH", ["HK.800700"]),
        ("$AAPL", ["US.AAPL"]),
    ],
)
def test_indexes(text: str, symbols: list[str]) -> None:
    """With the signs of other vendors, and bare where no stock has the name."""
    assert meant(text) == symbols


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("ES=F", "US.ESmain"),
        ("ES1!", "US.ESmain"),
        ("/NQ", "US.NQmain"),
        ("@CL", "US.CLmain"),
        ("ESZ25", "US.ES2512"),
        ("HKEX:HSIH2026", "HK.HSI2603"),
        ("HSImain", "HK.HSImain"),
        ("cn2512", "SG.CN2512"),
    ],
)
def test_futures(text: str, symbol: str) -> None:
    """The contract traded most, and those of a month."""
    assert meant(text) == [symbol]


@pytest.mark.parametrize(
    ("text", "default_market", "symbols"),
    [
        ("AAPL", "HK", ["US.AAPL"]),
        ("aapl", "HK", ["US.AAPL"]),
        ("AAPL", "SH", ["US.AAPL"]),
        ("7203", "JP", []),
        ("700", "SG", ["HK.00700"]),
        ("BTC-USD", "HK", ["CC.BTCUSD"]),
        ("HSImain", "HK_FUTURE", []),
        ("00700", "HK", []),
    ],
)
def test_the_default_market_is_no_word_of_the_users(
    text: str, default_market: str, symbols: list[str]
) -> None:
    """A code that it can't have is looked for elsewhere."""
    assert meant(text, default_market) == symbols


@pytest.mark.parametrize(
    "symbol",
    [
        *("US.AAPL", "US.BRK.B", "US..SPX", "US..DJI", "US.AAPL260914C332500", "US.ESmain"),
        *("US.ES2512", "HK.00700", "HK.800000", "HK.HSImain", "HK.MHI2512", "HK.BK1001"),
        *("HK.TCH260929C350000", "SH.600519", "SZ.300750", "SG.CNmain", "JP.NK225main"),
        *("CC.BTCUSD", "CC.ETHHKD", "SG.D05", "JP.7203", "MY.1155", "AU.BHP", "FX.EURUSD"),
        *("US.ZZZZ", "US.TOOLONGFORATICKER", "EC.ANYTHING", "US.", "US.é"),
    ],
)
def test_opends_own_form_has_no_hint(symbol: str) -> None:
    """It may be right, and only the right to it missing; nor has what means nothing."""
    assert hints(Symbol(symbol)) == ()


@pytest.mark.parametrize(
    ("symbol", "symbols"),
    [
        ("SH.000858", ("SZ.000858",)),
        ("SZ.000300", ("SH.000300",)),
        ("SG.AAPL", ("US.AAPL",)),
        ("US.AAPL", ()),
        ("US.XRP", ("CC.XRPUSD",)),
        ("JP.7203", ()),
        ("SH.600519", ()),
    ],
)
def test_where_no_right_is_missing_the_market_may_be_wrong(
    symbol: str, symbols: tuple[str, ...]
) -> None:
    """Of a code that two markets may have."""
    assert hints(Symbol(symbol), may_exist=False) == symbols
    assert hints(Symbol(symbol)) == ()


CODES = st.from_regex(r"[A-Za-z]{1,5}|[0-9]{1,7}|[A-Za-z0-9]{1,8}", fullmatch=True)
SPELLED = st.one_of(
    st.text(max_size=64),
    st.text("AaBCHKSUZ0719.:-_ /^$=!", max_size=24),
    st.builds("{}.{}".format, CODES, st.sampled_from(sorted(SUFFIXES))),
    st.builds("{}:{}".format, st.sampled_from(sorted(EXCHANGES)), CODES),
    st.builds("{}{}".format, st.sampled_from(["^", "$", "."]), st.sampled_from(sorted(INDEXES))),
    st.builds("{}{}".format, st.sampled_from(sorted(FUTURES)), st.sampled_from(["=F", "1!", ""])),
)


@given(SPELLED, st.sampled_from(sorted(MARKETS)), st.booleans())
def test_every_hint_is_another_symbol_in_its_canonical_spelling(
    text: str,
    default_market: str,
    may_exist: bool,
) -> None:
    """A few of them, each once, none of them EC., whatever somebody writes."""
    try:
        symbol = parse_symbol(text, default_market)
    except InvalidInput:
        return
    found = hints(symbol, may_exist=may_exist)
    assert len(set(found)) == len(found) <= MAX_HINTS
    for hint in found:
        assert hint != symbol
        assert parse_symbol(hint, "US") == hint
        assert not hint.startswith(("EC.", "HK_FUTURE."))


@given(SPELLED, st.sampled_from(sorted(MARKETS)))
def test_a_hint_is_in_opends_own_form(text: str, default_market: str) -> None:
    """Whoever follows it isn't sent further."""
    try:
        symbol = parse_symbol(text, default_market)
    except InvalidInput:
        return
    for hint in hints(symbol):
        assert hints(hint) == ()
