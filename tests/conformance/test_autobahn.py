"""What the Autobahn|Testsuite says of the production WebSocket.

The suite is written for Python 2.7. Where there is one that has it (named by ``PYTHON27``, or
``python2.7`` on the path), its quick groups run here, and else only the cases that this folder's
other tests make of the RFCs themselves: there is nothing to skip then. Everything, with large
messages and compression, runs with ``python -m tests.conformance.autobahn``, which installs it.
"""

import json
from pathlib import Path

import pytest

from tests.conformance import autobahn

QUICK = ("1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*")
"""All but speed, large messages and compression: they take minutes."""

TOLERATED = {"6.4.3", "6.4.4"}
"""A fault in a text that shows before its frame is whole: the frame's end is waited for."""

PYTHON = autobahn.python_with_suite()

if PYTHON is not None:

    @pytest.mark.timeout(120)
    async def test_the_suite_finds_nothing_to_object_to(tmp_path: Path) -> None:
        """Frames, fragments, pings, goodbyes and texts are as it wants them."""
        assert PYTHON is not None
        outcomes = await autobahn.run(PYTHON, QUICK, tmp_path)
        assert len(outcomes) >= 247
        assert [outcome for outcome in outcomes if outcome.failed] == []
        lax = {outcome.case for outcome in outcomes if outcome.behavior == autobahn.NOT_STRICT}
        assert lax <= TOLERATED


def index(**behaviors: tuple[str, str]) -> bytes:
    """Write a report as the suite does."""
    return json.dumps(
        {
            autobahn.AGENT: {
                case.removeprefix("case_").replace("_", "."): {
                    "behavior": behavior,
                    "behaviorClose": closing,
                    "duration": 1,
                }
                for case, (behavior, closing) in behaviors.items()
            }
        }
    ).encode()


def test_a_report_is_read_in_the_order_of_its_cases() -> None:
    """By their numbers."""
    outcomes = autobahn.outcomes_of(
        index(case_10_1_1=("OK", "OK"), case_2_10=("OK", "OK"), case_2_9=("OK", "OK"))
    )
    assert [outcome.case for outcome in outcomes] == ["2.9", "2.10", "10.1.1"]
    assert [outcome.group for outcome in outcomes] == [2, 2, 10]


@pytest.mark.parametrize(
    ("behavior", "closing", "failed"),
    [
        ("OK", "OK", False),
        ("NON-STRICT", "OK", False),
        ("INFORMATIONAL", "INFORMATIONAL", False),
        ("UNIMPLEMENTED", "OK", False),
        ("FAILED", "OK", True),
        ("OK", "WRONG CODE", True),
        ("OK", "UNCLEAN", True),
        ("OK", "FAILED BY CLIENT", True),
    ],
)
def test_a_case_fails_by_what_happened_or_by_its_end(
    behavior: str, closing: str, failed: bool
) -> None:
    """The suite judges both, each in a word."""
    [outcome] = autobahn.outcomes_of(index(case_1_1_1=(behavior, closing)))
    assert outcome.failed is failed


def test_the_table_counts_groups_and_names_what_is_not_right() -> None:
    """A line a group, then a line for each remarkable case."""
    outcomes = autobahn.outcomes_of(
        index(
            case_6_4_3=("NON-STRICT", "OK"),
            case_7_1_5=("OK", "WRONG CODE"),
            case_7_1_6=("INFORMATIONAL", "INFORMATIONAL"),
            case_13_2_1=("UNIMPLEMENTED", "OK"),
        )
    )
    lines = autobahn.table(outcomes).splitlines()
    assert [line.split() for line in lines[:5]] == [
        ["group", *autobahn.BEHAVIORS],
        ["6", "0", "1", "0", "0", "0"],
        ["7", "0", "0", "1", "0", "1"],
        ["13", "0", "0", "0", "1", "0"],
        ["total", "0", "1", "1", "1", "1"],
    ]
    assert lines[5:] == ["6.4.3: NON-STRICT, closing OK", "7.1.5: OK, closing WRONG CODE"]


@pytest.mark.parametrize("has_suite", [True, False])
def test_a_python_without_the_suite_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_suite: bool
) -> None:
    """It is asked, whether it was named or found."""
    monkeypatch.delenv("PYTHON27", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert autobahn.python_with_suite() is None
    python = tmp_path / "python2.7"
    python.write_text(f"#!/bin/sh\nexit {0 if has_suite else 1}\n")
    python.chmod(0o755)
    assert autobahn.python_with_suite() == (str(python) if has_suite else None)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PYTHON27", str(python))
    assert autobahn.python_with_suite() == (str(python) if has_suite else None)
