from __future__ import annotations

import re

import pytest

from bookcast.feeds.futu.schema import messages
from bookcast.feeds.futu.statuses import HALTS, STATUSES, SUSPENDED, grey_market, halt


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
