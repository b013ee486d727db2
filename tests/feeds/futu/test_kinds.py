from __future__ import annotations

import pytest

from bookcast.feeds.futu.kinds import Kind, OptionChain, kind_of, option_chain
from bookcast.model.topics import Symbol


@pytest.mark.parametrize(
    ("symbol", "kind"),
    [
        ("US.AAPL", "stock"),
        ("US.BRK.B", "stock"),
        ("US.C", "stock"),
        ("HK.00700", "stock"),
        ("HK.12345", "stock"),
        ("SH.600519", "stock"),
        ("SZ.000001", "stock"),
        ("JP.7203", "stock"),
        ("JP.130A", "stock"),
        ("SG.D05", "stock"),
        ("MY.1155", "stock"),
        ("US.AAPL260914C332500", "option"),
        ("US.AAPL1260914P332500", "option"),
        ("US.BRK.B260918C400000", "option"),
        ("US..SPX260918C5000000", "option"),
        ("US.SPXW260914C5000000", "option"),
        ("HK.TCH260929C350000", "option"),
        ("HK.HSI260929P24000000", "option"),
        ("HK.HSImain", "future"),
        ("HK.MHI2609", "future"),
        ("HK_FUTURE.HSImain", "future"),
        ("US.ESmain", "future"),
        ("US.6Emain", "future"),
        ("US.CL2612", "future"),
        ("SG.CNmain", "future"),
        ("JP.NK225main", "future"),
        ("JP.NK2252609", "future"),
        ("US..DJI", "index"),
        ("HK.800000", "index"),
        ("SH.000001", "index"),
        ("SZ.399001", "index"),
        ("HK.BK1001", "plate"),
        ("US.BK2999", "plate"),
        ("CC.BTCUSD", "crypto"),
        ("EC.ANY260914C1", "event"),
        ("FX.USDCNH", "forex"),
    ],
)
def test_the_code_tells_what_a_symbol_is(symbol: str, kind: Kind) -> None:
    """In every form that OpenD has."""
    assert kind_of(Symbol(symbol)) == kind


@pytest.mark.parametrize(
    ("symbol", "chain"),
    [
        ("US.AAPL260914C332500", OptionChain("US", "AAPL", "260914")),
        ("US.AAPL260914P1000", OptionChain("US", "AAPL", "260914")),
        ("US.BRK.B260918C400000", OptionChain("US", "BRK.B", "260918")),
        ("HK.TCH260929C350000", OptionChain("HK", "TCH", "260929")),
        ("US.AAPL", None),
        ("HK.00700", None),
        ("US.ESmain", None),
    ],
)
def test_options_of_one_underlying_and_expiry_are_one_chain(
    symbol: str, chain: OptionChain | None
) -> None:
    """Calls and puts of every strike."""
    assert option_chain(Symbol(symbol)) == chain
