import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.hub.schedule import PHASES, next_due


def test_a_busy_view_keeps_its_beat() -> None:
    """However late its timer was, within reason."""
    assert next_due(10.27, 0.1, 10.25) == pytest.approx(10.35)
    assert next_due(10.31, 0.1, 10.25) == pytest.approx(10.425)


@given(st.floats(0, 1e6), st.sampled_from([0.01, 0.1, 0.25, 1.0, 60.0]))
def test_a_quiet_view_waits_for_an_interval_and_little_more(now: float, interval: float) -> None:
    """Until a moment that it shares with others."""
    due = next_due(now, interval, None)
    assert interval * 0.999 <= due - now <= interval * (1 + 1 / PHASES) * 1.001
    moments = due / (interval / PHASES)
    assert moments == pytest.approx(round(moments))
