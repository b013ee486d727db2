from __future__ import annotations

from bookcast.feeds.futu.doctor_report import PERIODS, SAMPLES, SUBSCRIBED, readings
from bookcast.feeds.futu.link import connect
from tests.fakes.opend import Controller

CANDLE = {"open": 1, "high": 2, "low": 1, "close": 2, "volume": 3}


async def read(opend: Controller) -> dict[str, list[str]]:
    """Ask the simulated OpenD, and give what it said under what was asked."""
    link = await connect("127.0.0.1", opend.port, lambda _protocol, _body: None)
    try:
        said: dict[str, list[str]] = {}
        for what, words in await readings(link):
            said.setdefault(what, []).append(words)
        return said
    finally:
        link.fail("was left")


async def test_what_no_document_says_is_written_down(opend: Controller) -> None:
    """How candles are dated, which state each security has, which types of trades there are."""
    opend.set_states({"US.AAPL": 37, "HK.HSImain": 13})
    opend.set_option_quota(None)
    opend.store_candles("HK.00700", "4h", {"time": 1_700_029_800} | CANDLE)
    opend.store_trades(
        "US.AAPL",
        *(
            {"sequence": n, "time": 1.7e9, "price": 1, "size": 1, "dir": 1, "type": kind}
            for n, kind in enumerate([1, 1, 21])
        ),
    )
    said = await read(opend)
    assert said["candle HK.00700 4h"] == ["2023-11-15 14:30:00 | 2023-11-15T14:30:00+08:00"]
    assert said["market state US.AAPL"] == ["37 (US.AAPL)"]
    assert said["market state HK.HSImain"] == ["13 (HK.HSImain)"]
    assert said["trade types US.AAPL"] == ["type 1 sign 0: 2", "type 21 sign 0: 1"]
    assert said["state US"] == ["3"]
    assert said["rights US stocks"] == ["Level 2"]
    assert said["quota optionRemainQuota"] == ["not told"]


async def test_what_is_refused_is_a_reading_too(opend: Controller) -> None:
    """Everything else is asked all the same."""
    opend.set_rights(us=5)
    said = await read(opend)
    for period in PERIODS:
        assert said[f"candle US.AAPL {period}"] == ["refused: no quote right for US stocks"]
    assert all(f"market state {symbol}" in said for symbol in SAMPLES)


async def test_nothing_personal_is_in_it(opend: Controller) -> None:
    """Neither the account's name nor its number, nor what others have subscribed."""
    said = await read(opend)
    text = str(said)
    assert "simulated" not in text
    assert "userID" not in text
    asked = {what.split()[1] for what in said if what.startswith(("candle", "trade"))}
    assert asked <= {*SUBSCRIBED, "types"}
