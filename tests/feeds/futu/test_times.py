"""Intervals of the Futu feed that don't go together are refused."""

from __future__ import annotations

import pytest

from bookcast.feeds.futu.times import FutuTimes


@pytest.mark.parametrize(
    ("wrong", "other"),
    [
        ({"silence_seconds": 0.5}, "watch_seconds"),
        ({"answer_seconds": 1.0}, "fill_seconds"),
        ({"fill_turn_seconds": 1.0}, "fill_turn_seconds"),
        ({"endings_seconds": 20.0}, "endings_seconds"),
        ({"search_seconds": 10.0}, "search_seconds"),
        ({"lists_retry_seconds": 24 * 3600.0}, "lists_retry_seconds"),
    ],
)
def test_intervals_that_cannot_work_are_named(wrong: dict[str, float], other: str) -> None:
    """Both of them."""
    with pytest.raises(ValueError, match=rf"must be longer than 1 times {other}") as caught:
        FutuTimes(**wrong)
    assert next(iter(wrong)) in str(caught.value)
