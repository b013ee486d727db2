"""What a client gets that may have one update in so many milliseconds."""

from __future__ import annotations

import pytest

from bookcast.http import pace as pace_module
from bookcast.http.pace import Pace
from tests.support import QUOTE, update


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time that was set."""
        return self.now


def test_within_the_interval_the_same_update_is_given_again() -> None:
    """Counted from when it was given first, however often it is asked for."""
    clock = Clock()
    pace = Pace(clock)
    seen = []
    for seq in range(1, 8):
        seen.append(pace.newest("alice", update(seq), 1000).position.seq)
        clock.now += 0.4
    assert seen == [1, 1, 1, 4, 4, 4, 7]


def test_others_and_other_topics_have_their_own_pace() -> None:
    """And who has no interval always gets the newest."""
    pace = Pace(Clock())
    pace.newest("alice", update(1), 1000)
    assert pace.newest("bob", update(2), 1000).position.seq == 2
    assert pace.newest("alice", update(3, QUOTE), 1000).position.seq == 3
    assert pace.newest("alice", update(4), 0).position.seq == 4


def test_what_is_known_of_them_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was given something the longest ago is forgotten first."""
    monkeypatch.setattr(pace_module, "MAX_GIVEN", 2)
    pace = Pace(Clock())
    for seq, who in enumerate(("alice", "bob", "carol")):
        pace.newest(who, update(seq), 1000)
    seqs = [pace.newest(who, update(9), 1000).position.seq for who in ("carol", "bob", "alice")]
    assert seqs == [2, 1, 9]


def test_what_was_given_too_long_ago_is_not_kept() -> None:
    """An update that is superseded may be large."""
    clock = Clock()
    pace = Pace(clock)
    pace.newest("alice", update(1), 1000)
    pace.newest("bob", update(1), 5000)
    clock.now += 1
    pace.newest("carol", update(2), 1000)
    assert len(pace) == 2
