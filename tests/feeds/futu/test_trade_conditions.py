from __future__ import annotations

import re

import pytest

from bookcast.feeds.futu.schema import messages
from bookcast.feeds.futu.trade_conditions import CONDITIONS, KEEP_LAST, KEEP_LAST_US, updates_last
from tests.support import ROOT


def test_every_type_of_opend_has_a_word_of_its_own() -> None:
    """But the unknown one and the usual one."""
    numbers = set(messages("Qot_Common").TickerType.values())
    assert set(CONDITIONS) == numbers - {0, 1}
    assert len(set(CONDITIONS.values())) == len(CONDITIONS)
    assert all(re.fullmatch("[a-z0-9_]{1,32}", word) for word in CONDITIONS.values())
    assert set(CONDITIONS.values()) >= KEEP_LAST | KEEP_LAST_US


@pytest.mark.parametrize(
    ("number", "us", "elsewhere"),
    [
        (0, True, True),
        (1, True, True),
        (2, False, False),
        (6, False, False),
        (7, True, True),
        (8, True, False),
        (9, False, True),
        (10, True, True),
        (13, True, True),
        (15, False, True),
        (17, True, True),
        (18, False, True),
        (20, False, True),
        (21, False, True),
        (24, False, False),
        (26, False, False),
        (28, True, True),
        (29, True, True),
        (30, False, False),
        (31, True, True),
        (99, True, True),
    ],
)
def test_a_condition_decides_whether_the_last_price_moves(
    number: int, us: bool, elsewhere: bool
) -> None:
    """In the US by the consolidated tapes, elsewhere by what a print is."""
    word = CONDITIONS.get(number)
    assert updates_last(word, "US") is us
    assert {updates_last(word, prefix) for prefix in ("HK", "SH", "JP", "CC")} == {elsewhere}


def test_the_document_has_every_condition() -> None:
    """With its word, and whether it moves the last price."""
    text = (ROOT / "docs/futu.md").read_text(encoding="utf-8")
    row = re.compile(r"^\| (\d+) \| `(\w+)` \| .+ \| (yes|no).* \| (yes|no) \|$", re.MULTILINE)
    documented = {
        int(number): (word, us == "yes", them == "yes")
        for number, word, us, them in row.findall(text)
    }
    assert documented == {
        number: (word, updates_last(word, "US"), updates_last(word, "HK"))
        for number, word in CONDITIONS.items()
    }
