"""Judges a history: what nodes promise must hold for what publishers and clients saw.

It does no I/O and knows nothing of the server but its protocol. A publication whose outcome nobody
knows may come at any time after it was sent, or never, but not twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from tests.history.data import book_of
from tests.history.follow import Follower, Place, is_ours
from tests.history.history import (
    FAULTS_OF_LINKS,
    FAULTS_OF_REDIS,
    LOSSES_OF_REDIS,
    Attempt,
    History,
    Track,
)
from tests.history.liveness import silences

AFTERMATH = 10.0
"""So long after a node was cut off from Redis, a gap or a lost session is excused."""

RETURN_SECONDS = 6.0
"""A base client that is back for so long must have got the books that it had asked for."""

_decode = msgspec.json.Decoder().decode


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


def check(history: History, *, converges: bool = True) -> Verdict:
    """Judge a history. ``converges``: at its end all clients have what was published last."""
    return _Check(history).run(converges=converges)


class _Check:
    def __init__(self, history: History) -> None:
        self._history = history
        self._violations: list[Violation] = []
        self._excused: list[Violation] = []
        self._gaps: Counter[str] = Counter()
        # (topic, epoch, seq): what was shown there, to whom first, and when.
        self._shown: dict[tuple[str, str, int], tuple[str, str, float]] = {}
        self._acknowledged: dict[tuple[str, str, int], Attempt] = {}
        self._by_topic: dict[str, list[Attempt]] = defaultdict(list)
        for attempt in history.attempts:
            self._by_topic[attempt.topic].append(attempt)

    def run(self, *, converges: bool) -> Verdict:
        self._check_positions()
        followed = [
            (track, _V1Walk(track, self).run())
            for track in self._history.tracks
            if track.protocol == "v1"
        ]
        for track, followers in followed:
            self._check_lost(track, followers)
        self._check_origin()
        for track, topic, (since, until) in silences(self._history):
            detail = f"nothing since {since:.3f}, while it was connected"
            self.report("silence", track.name, topic, until, detail)
        places = self._places_of_books()
        bases = [track for track in self._history.tracks if track.protocol == "base"]
        numbers = {track.name: self._check_base(track, places) for track in bases}
        if converges:
            for track, followers in followed:
                self._check_end(track, {f.topic: f.place for f in followers})
            for track in bases:
                self._check_end_of_base(track, numbers[track.name])
        self._violations.sort(key=lambda one: one.at)
        return Verdict(self._violations, dict(self._gaps), self._excused)

    def report(self, kind: str, who: str, topic: str, at: float, detail: str) -> None:
        self._violations.append(Violation(kind, who, topic, at, detail))

    def excuse(self, kind: str, who: str, topic: str, at: float, detail: str) -> None:
        self._excused.append(Violation(kind, who, topic, at, detail))

    def note_gap(self, track: Track, topic: str, at: float, reason: str) -> None:
        """Count a gap; without a fault that explains it, it is a violation."""
        self._gaps[reason] += 1
        excused = not is_ours(topic) or self.was_redis_away(at - AFTERMATH, at)
        tell = self.excuse if excused else self.report
        tell("gap without a reason", track.name, topic, at, f"gap: {reason}")

    def was_redis_away(self, since: float, until: float) -> bool:
        """Tell whether some node couldn't reach Redis, or Redis had lost something."""
        return any(
            fault.at <= until and fault.until >= since
            for fault in self._history.faults
            if fault.what in FAULTS_OF_REDIS | FAULTS_OF_LINKS
        )

    def had_redis_forgotten(self, since: float, until: float) -> bool:
        """Tell whether Redis had forgotten something, maybe sessions too."""
        return any(
            fault.at <= until and fault.until >= since
            for fault in self._history.faults
            if fault.what in LOSSES_OF_REDIS
        )

    # What publishers were told

    def _check_positions(self) -> None:
        for topic, attempts in self._by_topic.items():
            well = [one for one in attempts if one.outcome == "ok"]
            for one in well:
                key = (topic, one.epoch, one.seq)
                other = self._acknowledged.setdefault(key, one)
                if other is not one:
                    detail = f"{one.epoch} {one.seq} is {_name(other)} and {_name(one)}"
                    self.report("position given twice", one.who, topic, one.ended, detail)
            self._check_order(topic, well)

    def _check_order(self, topic: str, well: list[Attempt]) -> None:
        """What was over before something else began must come before it."""
        epochs: dict[str, list[Attempt]] = defaultdict(list)
        for one in well:
            epochs[one.epoch].append(one)
        for of_epoch in epochs.values():
            latest: Attempt | None = None
            for one in sorted(of_epoch, key=lambda one: one.seq):
                if latest is not None and one.ended < latest.began:
                    detail = f"{_name(one)} comes after {_name(latest)}, which began later"
                    self.report("order", one.who, topic, one.ended, detail)
                if latest is None or one.began > latest.began:
                    latest = one
        for epoch, of_epoch in epochs.items():
            ended = min(one.ended for one in of_epoch)
            for other, of_other in epochs.items():
                if other == epoch or ended >= min(one.began for one in of_other):
                    continue
                back = max(one.began for one in of_epoch)
                if back > min(one.ended for one in of_other):
                    detail = f"{epoch} goes on after {other} had begun"
                    self.report("epoch went back", "engine", topic, back, detail)

    # What clients were shown

    def take(self, track: Track, follower: Follower) -> None:
        """Compare what a client was shown with what others were, and with what was answered."""
        topic = follower.topic
        for at, epoch, seq, content in follower.facts:
            key = (topic, epoch, seq)
            if not is_ours(topic) and follower.channel == "orderbook":
                key = (f"{topic} {content.partition(' ')[0]}", epoch, seq)
            known = self._shown.setdefault(key, (content, track.name, at))
            if known[0] != content:
                detail = f"{epoch} {seq} is {content} here and {known[0]} at {known[1]}"
                self.report("two contents", track.name, topic, at, detail)
            told = self._acknowledged.get(key)
            if told is not None and content != (told.id or str(told.number)):
                detail = f"{epoch} {seq} is {content}; its publisher was told it is {_name(told)}"
                self.report("two contents", track.name, topic, at, detail)

    def _check_origin(self) -> None:
        """What is shown was published, once, by somebody who wasn't told that it failed."""
        attempts = {(one.topic, one.id or str(one.number)): one for one in self._history.attempts}
        found: dict[tuple[str, str], tuple[str, int]] = {
            (topic, one.id or str(one.number)): (epoch, seq)
            for (topic, epoch, seq), one in self._acknowledged.items()
        }
        for (topic, epoch, seq), (content, who, at) in self._shown.items():
            if not is_ours(topic):
                continue
            attempt = attempts.get((topic, content))
            if attempt is None:
                self.report("nobody published it", who, topic, at, f"{epoch} {seq}: {content}")
                continue
            if attempt.outcome == "failed" or attempt.began > at:
                detail = f"{_name(attempt)}: {attempt.outcome}, {attempt.detail}"
                self.report("refused, and shown", who, topic, at, detail)
            place = found.setdefault((topic, content), (epoch, seq))
            if place != (epoch, seq):
                # The newest book is told again when Redis has lost it, in an epoch that is new.
                told_again = (
                    topic.startswith("orderbook:")
                    and place[0] != epoch
                    and self.had_redis_forgotten(0.0, at)
                )
                tell = self.excuse if told_again else self.report
                detail = f"{_name(attempt)} is {place} and {(epoch, seq)}"
                tell("published twice", who, topic, at, detail)

    def _check_lost(self, track: Track, followers: Iterable[Follower]) -> None:
        """What was answered comes to all who were subscribed, or a gap tells that it doesn't."""
        for follower in followers:
            by_epoch: dict[str, list[Attempt]] = defaultdict(list)
            if follower.channel != "trades":
                continue
            for attempt in self._by_topic.get(follower.topic, ()):
                if attempt.outcome == "ok":
                    by_epoch[attempt.epoch].append(attempt)
            for stretch in follower.stretches:
                lost = [
                    one
                    for one in by_epoch[stretch.epoch]
                    if stretch.after < one.seq <= stretch.last and not stretch.has(one.id, one.seq)
                ]
                if lost:
                    named = ", ".join(f"{one.seq} {_name(one)}" for one in lost[:3])
                    detail = f"{stretch.epoch}: {len(lost)} never came: {named}"
                    self.report("lost", track.name, follower.topic, 0.0, detail)
                old = [
                    one
                    for one in by_epoch[stretch.epoch]
                    if one.ended < stretch.asked_at and one.id in stretch.ids
                ]
                if old:
                    away = self.was_redis_away(stretch.asked_at - AFTERMATH, stretch.asked_at)
                    tell = self.excuse if away else self.report
                    detail = f"{stretch.epoch}: {len(old)}, as if they were new"
                    kind = "from before it subscribed"
                    tell(kind, track.name, follower.topic, stretch.asked_at, detail)
                skipped = [one for one in by_epoch[stretch.epoch] if one.seq <= stretch.after]
                if skipped and stretch.told:
                    detail = f"{stretch.epoch}: {len(skipped)} up to {stretch.after}"
                    self.excuse("skipped after a gap", track.name, follower.topic, 0.0, detail)

    def _check_end(self, track: Track, places: dict[str, Place | None]) -> None:
        for topic, place in places.items():
            last = self._last_of(topic)
            if last is not None and place != (last.epoch, last.seq):
                at = track.events[-1].at if track.events else 0.0
                detail = f"is at {place} in the end, not {(last.epoch, last.seq)}"
                self.report("not converged", track.name, topic, at, detail)

    def _last_of(self, topic: str) -> Attempt | None:
        last = [one for one in self._by_topic.get(topic, ()) if one.final and one.outcome == "ok"]
        return max(last, key=lambda one: (one.epoch == last[-1].epoch, one.seq)) if last else None

    # Clients of the base protocol

    def _places_of_books(self) -> dict[tuple[str, int], Place]:
        places = {
            (topic, int(content)): (epoch, seq)
            for (topic, epoch, seq), (content, _, _) in self._shown.items()
            if topic.startswith("orderbook:") and is_ours(topic)
        }
        places |= {
            (topic, one.number): (epoch, seq)
            for (topic, epoch, seq), one in self._acknowledged.items()
            if one.number
        }
        return places

    def _check_base(self, track: Track, places: dict[tuple[str, int], Place]) -> dict[str, int]:
        """Check what a base client was shown; give the number of the last book of each topic."""
        walk = _BaseWalk(track, self, places)
        return walk.run()

    def _check_end_of_base(self, track: Track, numbers: dict[str, int]) -> None:
        for topic in track.topics:
            last = self._last_of(topic)
            if last is not None and numbers.get(topic) != last.number:
                at = track.events[-1].at if track.events else 0.0
                detail = f"has book {numbers.get(topic)} in the end, not {last.number}"
                self.report("not converged", track.name, topic, at, detail)

    def outcome_of_book(self, topic: str, number: int) -> Attempt | None:
        """Give what is known of the publication of a book."""
        attempts = self._by_topic.get(topic, [])
        found = attempts[number - 1 : number]  # they are numbered from 1, in order
        return found[0] if found and found[0].number == number else None


class _V1Walk:
    """Goes through what happened to a client of bookcast.v1."""

    def __init__(self, track: Track, check: _Check) -> None:
        self._track = track
        self._check = check
        self._followers = {topic: self._follow(topic) for topic in track.topics}
        self._lost_at = 0.0

    def _follow(self, topic: str) -> Follower:
        def report(kind: str, at: float, detail: str) -> None:
            self._check.report(kind, self._track.name, topic, at, detail)

        return Follower(topic, report, depth=self._track.depth)

    def run(self) -> list[Follower]:
        for event in self._track.events:
            match event.what:
                case "opened":
                    for follower in self._followers.values():
                        follower.begin()
                case "lost":
                    self._lost_at = event.at
                case "heard":
                    self._hear(event.at, _decode(event.message))
                case "resubscribed":
                    self._note_lost_session(event.at, event.detail)
        for follower in self._followers.values():
            self._check.take(self._track, follower)
            for at, reason in follower.gaps:
                self._check.note_gap(self._track, follower.topic, at, reason)
        return list(self._followers.values())

    def _note_lost_session(self, at: float, detail: str) -> None:
        excused = self._check.was_redis_away(self._lost_at - AFTERMATH, at)
        tell = self._check.excuse if excused else self._check.report
        tell(
            "session lost", self._track.name, detail, at, f"connection lost at {self._lost_at:.3f}"
        )

    def _hear(self, at: float, message: Any) -> None:
        kind = message["type"]
        if kind == "error" and message.get("code") != "unknown_session":
            excused = message.get("code") == "engine_unavailable" and self._check.was_redis_away(
                at - AFTERMATH, at
            )
            tell = self._check.excuse if excused else self._check.report
            tell("error", self._track.name, "", at, str(message))
        follower = self._followers.get(f"{message.get('channel')}:{message.get('symbol')}")
        if follower is None:
            return
        if kind == "subscription_confirmed":
            follower.confirm(at, message["epoch"], message["seq"])
        else:
            follower.hear(at, message)


class _BaseWalk:
    """Goes through what happened to a base client, whose books have no positions."""

    def __init__(
        self,
        track: Track,
        check: _Check,
        places: dict[tuple[str, int], Place],
    ) -> None:
        self._track = track
        self._check = check
        self._places = places
        self._numbers: dict[str, int] = {}
        self._since_opening: set[str] = set()
        self._opened_at: float | None = None
        self._lost_at = 0.0
        self._connections = 0

    def run(self) -> dict[str, int]:
        for event in self._track.events:
            match event.what:
                case "opened":
                    self._opened_at = event.at
                    self._connections += 1
                    self._since_opening.clear()
                case "lost" | "stopped":
                    self._end(event.at)
                case "heard":
                    message = _decode(event.message)
                    if message["type"] == "orderbook_update":
                        self._hear(event.at, message)
                    elif message["type"] == "error":
                        self._check.report("error", self._track.name, "", event.at, str(message))
                case "resubscribed":
                    self._judge("session lost", event.at, "it had to subscribe again")
        return self._numbers

    def _end(self, at: float) -> None:
        """Judge a connection that is over: it must have brought the books without a word."""
        opened, self._opened_at = self._opened_at, None
        if opened is None:
            return
        missing = set(self._track.topics) - self._since_opening
        if missing and self._connections > 1 and at - opened > RETURN_SECONDS:
            self._judge("no books after coming back", at, ", ".join(sorted(missing)))
        self._lost_at = at

    def _judge(self, kind: str, at: float, detail: str) -> None:
        # It says nothing when it is back, so what Redis still has must be found once Redis is back.
        excused = self._check.had_redis_forgotten(self._lost_at - AFTERMATH, at)
        detail = f"{detail}; connection lost at {self._lost_at:.3f}"
        tell = self._check.excuse if excused else self._check.report
        tell(kind, self._track.name, "", at, detail)

    def _hear(self, at: float, message: Any) -> None:
        topic = f"orderbook:{message['symbol']}"
        data = message["data"]
        if not is_ours(topic):
            self._since_opening.add(topic)
            return
        number = data.get("n", 0)
        attempt = self._check.outcome_of_book(topic, number)
        expected = book_of(message["symbol"], max(1, number))
        if attempt is None or data != expected:
            self._check.report("content", self._track.name, topic, at, f"not book {number}: {data}")
            return
        if attempt.outcome == "failed" or attempt.began > at:
            detail = f"{_name(attempt)}: {attempt.detail}"
            self._check.report("refused, and shown", self._track.name, topic, at, detail)
        before = self._numbers.get(topic)
        if before is not None:
            self._compare(at, topic, before, number)
        self._since_opening.add(topic)
        self._numbers[topic] = number

    def _compare(self, at: float, topic: str, before: int, number: int) -> None:
        if number == before:
            if topic in self._since_opening:
                detail = f"book {number} twice on one connection"
                self._check.report("duplicate", self._track.name, topic, at, detail)
            return
        was, is_ = self._places.get((topic, before)), self._places.get((topic, number))
        if number > before and (was is None or is_ is None):
            return
        if was is None or is_ is None:
            detail = f"from book {before} to {number}, of which nobody else was shown"
            self._check.excuse("went back", self._track.name, topic, at, detail)
        elif was[0] == is_[0] and is_[1] < was[1]:
            detail = f"from book {before} {was} to {number} {is_}"
            self._check.report("went back", self._track.name, topic, at, detail)
        elif number < before and was[0] != is_[0]:
            detail = f"from book {before} {was} to {number} {is_}, another epoch"
            self._check.excuse("went back", self._track.name, topic, at, detail)


def _name(attempt: Attempt) -> str:
    what = attempt.id or f"book {attempt.number}"
    return f"{what} ({attempt.began:.3f}-{attempt.ended:.3f})"
