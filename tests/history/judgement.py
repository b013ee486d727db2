"""What is wrong in a history, and what its faults excuse."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tests.history.history import (
    FAULTS_OF_LINKS,
    FAULTS_OF_REDIS,
    LOSSES_OF_REDIS,
    Attempt,
    History,
)

AFTERMATH = 10.0
"""So long after a node was cut off from Redis, a gap or a lost session is excused."""

SAVED_SECONDS = 0.5
"""So long after a confirmation other nodes may not know of a subscription yet."""

KILLS = frozenset({"node killed", "worker killed"})
"""A node that ends in this way saves nothing."""


class Violation(msgspec.Struct, frozen=True):
    """A promise that wasn't kept."""

    kind: str
    who: str
    topic: str
    at: float
    detail: str

    def __str__(self) -> str:
        return f"{self.at:8.3f} {self.kind}: {self.who} {self.topic}: {self.detail}"


class Verdict(msgspec.Struct):
    """What came of a check. ``gaps``: by reason; ``excused``: what faults explain."""

    violations: list[Violation]
    gaps: dict[str, int]
    excused: list[Violation]


class Judgement:
    """Collects violations, and what faults excuse."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.violations: list[Violation] = []
        self.excused: list[Violation] = []

    def report(self, kind: str, who: str, topic: str, at: float, detail: str) -> None:
        """Note a promise that wasn't kept."""
        self.violations.append(Violation(kind, who, topic, at, detail))

    def excuse(self, kind: str, who: str, topic: str, at: float, detail: str) -> None:
        """Note what would be a violation without a fault."""
        self.excused.append(Violation(kind, who, topic, at, detail))

    def was_redis_away(self, since: float, until: float) -> bool:
        """Return whether some node couldn't reach Redis, or Redis had lost data."""
        return self.was(FAULTS_OF_REDIS | FAULTS_OF_LINKS, since, until)

    def had_redis_forgotten(self, since: float, until: float) -> bool:
        """Return whether Redis had lost data, which may include sessions."""
        return self.was(LOSSES_OF_REDIS, since, until)

    def was_unsaved(self, confirmed_at: Iterable[float], node: str, lost_at: float) -> bool:
        """Return whether a node was killed before it can have saved what it had just confirmed."""
        return all(at >= lost_at - SAVED_SECONDS for at in confirmed_at) and any(
            fault.what in KILLS and fault.node == node and -1 < lost_at - fault.at < SAVED_SECONDS
            for fault in self.history.faults
        )

    def was(self, kinds: Iterable[str], since: float, until: float) -> bool:
        """Return whether a fault of these kinds overlaps this time span."""
        return any(
            fault.at <= until and fault.until >= since
            for fault in self.history.faults
            if fault.what in kinds
        )


def name(attempt: Attempt) -> str:
    """Return the name of a publication: what it is, and when it was sent."""
    what = attempt.id or f"{attempt.topic.partition(':')[0]} {attempt.number}"
    return f"{what} ({attempt.began:.3f}-{attempt.ended:.3f})"
