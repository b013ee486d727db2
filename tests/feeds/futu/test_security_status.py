from __future__ import annotations

import re

import pytest

from bookcast.feeds.futu.schema import messages
from bookcast.feeds.futu.security_status import HALTS, STATUSES, SUSPENDED, grey_market, halt
from tests.support import ROOT


def test_every_status_of_opend_has_a_word_of_its_own() -> None:
    """All of its enumeration but the unknown one."""
    numbers = set(messages("Qot_Common").SecurityStatus.values())
    assert set(STATUSES) == numbers - {0}
    assert len(set(STATUSES.values())) == len(STATUSES)
    assert all(re.fullmatch("[a-z0-9_]{1,32}", word) for word in STATUSES.values())


def test_what_is_not_traded_says_why() -> None:
    """The status knows better than the flag."""
    basic = messages("Qot_Common").BasicQot
    assert halt(basic(secStatus=1), suspended=False) is None
    assert halt(basic(secStatus=1), suspended=True) == SUSPENDED
    assert halt(basic(secStatus=10), suspended=True) == "it was called"
    assert halt(basic(), suspended=False) is None
    assert set(HALTS) < set(STATUSES)


@pytest.mark.parametrize("status", [1, 6, 8, 20, 21])
def test_what_is_traded_or_waits_for_its_market_is_not_halted(status: int) -> None:
    """The market's own state says whether it trades."""
    assert halt(messages("Qot_Common").BasicQot(secStatus=status), suspended=False) is None


def test_a_snapshot_knows_the_grey_market_by_its_status() -> None:
    """It has no field of its own for it."""
    basic = messages("Qot_GetSecuritySnapshot").SnapshotBasicData
    found = [grey_market(basic(secStatus=status)) for status in (1, 5, 6, 7)]
    assert found == [None, "pending", "trading", "ended"]


def test_the_document_has_every_status() -> None:
    """With its word, and whether it means that nothing is traded."""
    text = (ROOT / "docs/futu.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (yes)? ?\|$", text, re.MULTILINE)
    documented = {int(number): (word, halted == "yes") for number, word, halted in rows}
    assert documented == {number: (word, number in HALTS) for number, word in STATUSES.items()}


@pytest.mark.parametrize(
    ("message", "others"),
    [
        ("BasicQot", ("PreAfterMarketData", "OptionBasicQotExData", "FutureBasicQotExData")),
        ("Ticker", ()),
        ("KLine", ()),
        ("TimeShare", ()),
        ("OrderBook", ("OrderBookDetail",)),
        ("Broker", ()),
    ],
)
def test_the_document_has_every_field_that_is_pushed(message: str, others: tuple[str, ...]) -> None:
    """In the table of its message."""
    text = (ROOT / "docs/futu.md").read_text(encoding="utf-8")
    table = text.partition(f"| `{message}` (")[2].partition("\n\n")[0]
    fields = {
        field.name
        for name in (message, *others)
        for field in getattr(messages("Qot_Common"), name).DESCRIPTOR.fields
    }
    assert fields <= set(re.findall(r"`(\w+)`", table))
