"""Intervals of sessions that don't go together are refused."""

from __future__ import annotations

import pytest

from bookcast.sessions.times import SessionTimes


@pytest.mark.parametrize(("wrong", "names"), [({"live": 40.0}, "touch"), ({"seek": 1.0}, "retry")])
def test_intervals_that_cannot_work_are_named(wrong: dict[str, float], names: str) -> None:
    """Both of them."""
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} .*{names}"):
        SessionTimes(**wrong)
