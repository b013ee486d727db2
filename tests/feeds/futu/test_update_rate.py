from __future__ import annotations

import pytest

from bookcast.feeds.futu.update_rate import Rhythm
from tests.support import AAPL, TSLA


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def arriving(*gaps: float) -> tuple[Rhythm, Clock]:
    """Make a topic that came with these gaps in between."""
    clock = Clock()
    rhythm = Rhythm(clock)
    rhythm.note(AAPL)
    for gap in gaps:
        clock.now += gap
        rhythm.note(AAPL)
    return rhythm, clock


@pytest.mark.parametrize(
    ("gaps", "quiet_after"),
    [
        ([], 30),
        ([0.1] * 5, 30),
        ([2.5] * 5, 30),
        ([10.0] * 5, 50),
        ([60.0] * 3, 300),
        ([10.0, 10.0, 500.0], 50),
        ([1000.0] + [1.0] * 20, 30),
    ],
)
def test_a_topic_is_quiet_after_five_of_its_usual_gaps(
    gaps: list[float], quiet_after: float
) -> None:
    """And never within 30 s; one long gap is not the usual one, nor is one of long ago."""
    rhythm, clock = arriving(*gaps)
    clock.now += quiet_after
    assert not rhythm.is_quiet(AAPL)
    clock.now += 0.1
    assert rhythm.is_quiet(AAPL)


def test_what_never_came_is_quiet() -> None:
    """Whatever else comes."""
    rhythm, _ = arriving(1.0)
    assert rhythm.is_quiet(TSLA)
    assert rhythm.heard_at(TSLA) is None
    assert rhythm.heard_at(AAPL) == 101
