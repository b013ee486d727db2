from __future__ import annotations

import pytest

from bookcast.feeds.futu.rights import (
    NO_PUSH,
    RIGHT_FIELDS,
    RIGHTS,
    missing_right,
    rights_of,
)
from bookcast.feeds.futu.schema import messages
from bookcast.model.topics import Symbol


def test_every_right_that_opend_tells_is_read() -> None:
    """In both messages that tell them."""
    for rights in (messages("GetUserInfo").S2C, messages("Notify").QotRight):
        fields = {name for name in rights.DESCRIPTOR.fields_by_name if name.endswith("QotRight")}
        assert set(RIGHT_FIELDS.values()) == fields - {"hasUSOptionQotRight"}
    assert set(RIGHTS) == set(messages("Qot_Common").QotRight.values()) - {0}
    assert {RIGHTS[number] for number in NO_PUSH} == {"BMP", "none"}


def test_an_older_opend_says_of_options_only_yes_or_no() -> None:
    """The newer field counts where it is told."""
    told = messages("GetUserInfo").S2C
    assert rights_of(told(hasUSOptionQotRight=False)) == {"US options": 5}
    assert rights_of(told(hasUSOptionQotRight=True)) == {"US options": 2}
    assert rights_of(told(hasUSOptionQotRight=False, usOptionQotRight=3)) == {"US options": 3}


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
        (
            "US.AAPL260914C332500",
            {"US stocks": 3, "US options": 5},
            "the account's right for US options is none",
        ),
        ("US.AAPL260914C332500", {"US stocks": 5, "US options": 2}, None),
        (
            "US..DJI",
            {"US stocks": 3, "US indexes": 5},
            "the account's right for US indexes is none",
        ),
        ("HK.TCH260929C350000", {"HK options": 5}, "the account's right for HK options is none"),
        ("HK.HSImain", {"HK futures": 5}, "the account's right for HK futures is none"),
        ("US.ESmain", {"US CME futures": 5}, "the account's right for US CME futures is none"),
        ("US.CL2612", {"US NYMEX futures": 5}, "the account's right for US NYMEX futures is none"),
        ("US.GCmain", {"US COMEX futures": 5}, "the account's right for US COMEX futures is none"),
        ("US.ZB2612", {"US CBOT futures": 5}, "the account's right for US CBOT futures is none"),
        ("US.VXmain", {"US CBOE futures": 5}, "the account's right for US CBOE futures is none"),
        ("US.ESmain", {"US futures": 5}, "the account's right for US futures is none"),
        ("US.NEWmain", {"US futures": 5}, "the account's right for US futures is none"),
        ("SG.CNmain", {"SG futures": 5}, "the account's right for SG futures is none"),
        ("JP.NK225main", {"JP futures": 5}, "the account's right for JP futures is none"),
        ("SH.600519", {"mainland China": 5}, "the account's right for mainland China is none"),
        ("SH.600519", {"mainland China": 5, "SH stocks": 2}, None),
    ],
)
def test_a_missing_right_explains_a_refusal(
    symbol: str, rights: dict[str, int], sentence: str | None
) -> None:
    """That of the symbol's own market, and only if it is known to be missing."""
    assert missing_right(Symbol(symbol), rights) == sentence
