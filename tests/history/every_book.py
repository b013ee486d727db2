"""With SESSION_QUEUE=all: a base client is shown every book, in order, each once a connection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from tests.history.follow import Place
from tests.history.history import LOCAL, Attempt, Track
from tests.history.judgement import AFTERMATH, Judgement
from tests.history.modes import QUEUE_SIZE

AGAIN_SECONDS = 8.0
"""So long before a loss a book may have come that is sent again: a client says something each
second, a second later what came before that is sure, and silence is noticed after 4 s."""

NEVER_SAID = frozenset({"node killed", "worker killed"})
"""How far a client was, its node alone knew."""


class EveryBook:
    """Follows one topic of one client.

    Args:
        track: the client.
        topic: of books.
        judgement: is told what is wrong.
        places: of all books that somebody was shown, or whose publisher was told.
        attempts: to publish the topic.
    """

    def __init__(
        self,
        track: Track,
        topic: str,
        judgement: Judgement,
        places: Mapping[tuple[str, int], Place],
        attempts: Sequence[Attempt],
    ) -> None:
        self._who = track.name
        self._topic = topic
        self._judgement = judgement
        self._places = places
        self._published: dict[str, dict[int, int]] = defaultdict(dict)
        for one in attempts:
            if one.outcome == "ok":
                self._published[one.epoch][one.seq] = one.number
        self._heard_at: dict[int, float] = {}
        self._furthest: Place | None = None
        self._goes_on = True
        self._last_at = 0.0
        self._lost_at = 0.0
        self._lost_node = ""

    def subscribe(self) -> None:
        """Begin anew with the newest, as a subscription does."""
        self._furthest, self._goes_on = None, True

    def lose(self, at: float, node: str) -> None:
        """Note the end of a connection."""
        self._goes_on, self._lost_at, self._lost_node = False, at, node

    def hear(self, at: float, number: int) -> None:
        """Take a book that the client is shown."""
        place = self._places.get((self._topic, number))
        if place is None:
            return  # its position is unknown
        if number in self._heard_at:
            if not self._goes_on:
                self._check_repetition(at, number, place)
        else:
            if self._furthest is not None:
                self._check_missing(at, self._furthest, place)
            self._heard_at[number] = at
            self._furthest = place
        self._goes_on, self._last_at = True, at

    def _check_repetition(self, at: float, number: int, place: Place) -> None:
        """Only what came a moment before the loss may come once more."""
        came = self._heard_at[number]
        if came > self._lost_at - AGAIN_SECONDS:
            return
        killed = any(
            fault.what in NEVER_SAID
            and fault.node == self._lost_node
            and fault.at - 1 <= self._lost_at
            and fault.until >= self._lost_at - AGAIN_SECONDS
            for fault in self._judgement.history.faults
        )
        away = self._judgement.was_redis_away(self._lost_at - AFTERMATH, at)
        tell = self._judgement.excuse if killed or away else self._judgement.report
        detail = f"book {number} {place}, which came at {came:.3f}; lost at {self._lost_at:.3f}"
        tell("shown again", self._who, self._topic, at, detail)

    def _check_missing(self, at: float, before: Place, place: Place) -> None:
        """Check that all between two books have come, now or before."""
        if before[0] == place[0]:
            first = max(before[1] + 1, place[1] - QUEUE_SIZE + 1)
            between = self._published[place[0]]
            missing = [
                between[seq]
                for seq in range(first, place[1])
                if seq in between and between[seq] not in self._heard_at
            ]
            # What waits of a node's own epoch isn't kept beyond the end of the outage.
            excused = before[0].startswith(LOCAL) and self._is_away(at)
        else:
            missing = [
                number
                for epoch, published in self._published.items()
                for seq, number in published.items()
                if (epoch == before[0] and seq > before[1])
                or (epoch == place[0] and place[1] - QUEUE_SIZE < seq < place[1])
                if number not in self._heard_at
            ]
            excused = self._is_away(at)
        if missing:
            tell = self._judgement.excuse if excused else self._judgement.report
            detail = f"{len(missing)} from {before} to {place}: books {missing[:5]}"
            tell("missed", self._who, self._topic, at, detail)

    def _is_away(self, at: float) -> bool:
        """Return whether Redis was away since the last book."""
        return self._judgement.was_redis_away(self._last_at - AFTERMATH, at)
