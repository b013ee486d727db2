"""With SESSION_QUEUE=all: a base client is shown every book, in order, each once a connection."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from tests.history.follow import Place
from tests.history.history import LOCAL, Attempt, Track
from tests.history.judgement import AFTERMATH, KILLS, Judgement
from tests.history.modes import QUEUE_SIZE

AGAIN_SECONDS = 8.0
"""So long before a loss a book may have come that is sent again: a client says something each
second, a second later what came before that is sure, and silence is noticed after 4 s."""


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
        self._began = {one.number: one.began for one in attempts}
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
                place = self._check_missing(at, self._furthest, self._places_of(number, place))
            self._heard_at[number] = at
            self._furthest = place
        self._goes_on, self._last_at = True, at

    def _check_repetition(self, at: float, number: int, place: Place) -> None:
        """Only what came a moment before the loss may come once more."""
        came = self._heard_at[number]
        if came > self._lost_at - AGAIN_SECONDS:
            return
        killed = any(
            fault.what in KILLS  # how far a client was, its node alone knew
            and fault.node == self._lost_node
            and fault.at - 1 <= self._lost_at
            and fault.until >= self._lost_at - AGAIN_SECONDS
            for fault in self._judgement.history.faults
        )
        away = self._judgement.was_redis_away(self._lost_at - AFTERMATH, at)
        tell = self._judgement.excuse if killed or away else self._judgement.report
        detail = f"book {number} {place}, which came at {came:.3f}; lost at {self._lost_at:.3f}"
        tell("shown again", self._who, self._topic, at, detail)

    def _places_of(self, number: int, place: Place) -> list[Place]:
        """Return where a book may be: the newest is told again at the beginning of an epoch."""
        return [place] + [
            (epoch, min(published) - 1)
            for epoch, published in self._published.items()
            if epoch != place[0]
            and not epoch.startswith(LOCAL)
            and self._began[number] < self._began[published[min(published)]]
        ]

    def _check_missing(self, at: float, before: Place, places: Sequence[Place]) -> Place:
        """Check that all before a book have come, now or before. Return the place of the book."""
        for place in places:
            if not self._missing(before, place):
                return place
        place = places[0]
        missing = self._missing(before, place)
        # What waits of a node's own epoch isn't kept beyond the end of the outage.
        may_be_lost = before[0] != place[0] or before[0].startswith(LOCAL)
        excused = (may_be_lost and self._is_away(at)) or self._may_not_have_been_read(missing)
        tell = self._judgement.excuse if excused else self._judgement.report
        detail = f"{len(missing)} from {before} to {place}: books {missing[:5]}"
        tell("missed", self._who, self._topic, at, detail)
        return place

    def _may_not_have_been_read(self, missing: Sequence[int]) -> bool:
        """Return whether books were sent to a client that talked without reading them.

        What it says is taken for a proof that it has read what came before. It loses what waits
        in the balancer when the connection breaks.
        """
        return "slow" in self._who and all(self._began[one] < self._lost_at for one in missing)

    def _missing(self, before: Place, place: Place) -> list[int]:
        """Return the books between two places that haven't come, now or before."""
        if before[0] == place[0]:
            first = max(before[1] + 1, place[1] - QUEUE_SIZE + 1)
            between = self._published[place[0]]
            return [
                between[seq]
                for seq in range(first, place[1])
                if seq in between and between[seq] not in self._heard_at
            ]
        # What Redis has meanwhile comes when the node's own epoch is over, and is missed then.
        waits = place[0].startswith(LOCAL)
        return [
            number
            for epoch, published in self._published.items()
            for seq, number in published.items()
            if (epoch == before[0] and seq > before[1] and not waits)
            or (epoch == place[0] and place[1] - QUEUE_SIZE < seq < place[1])
            if number not in self._heard_at
        ]

    def _is_away(self, at: float) -> bool:
        """Return whether Redis was away since the last book."""
        return self._judgement.was_redis_away(self._last_at - AFTERMATH, at)
