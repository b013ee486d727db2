"""Judges a history: what nodes promise must hold for what publishers and clients saw.

It does no I/O and knows nothing of the server but its protocol. A publication whose outcome nobody
knows may come at any time after it was sent, or never, but not twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from tests.history import outage, rights
from tests.history.base_walk import BaseWalk
from tests.history.candles import CandleFollower
from tests.history.data import is_final
from tests.history.follow import Follower, Place, is_ours
from tests.history.history import LOCAL, Attempt, History, Track
from tests.history.judgement import AFTERMATH, Judgement, Verdict, Violation, name
from tests.history.liveness import silences

OUTAGE_REASONS = frozenset({"epoch", "engine_restored"})

_decode = msgspec.json.Decoder().decode


def check(history: History, *, converges: bool = True) -> Verdict:
    """Judge a history. ``converges``: at its end all clients have what was published last."""
    return _Check(history).run(converges=converges)


class _Check(Judgement):
    def __init__(self, history: History) -> None:
        super().__init__(history)
        self._gaps: Counter[str] = Counter()
        # (topic, epoch, seq): what was shown there, to whom first, and when.
        self._shown: dict[tuple[str, str, int], tuple[str, str, float]] = {}
        self._acknowledged: dict[tuple[str, str, int], Attempt] = {}
        self._by_topic: dict[str, list[Attempt]] = defaultdict(list)
        for attempt in history.attempts:
            self._by_topic[attempt.topic].append(attempt)

    def run(self, *, converges: bool) -> Verdict:
        self._check_positions()
        outage.check(self)
        rights.check(self)
        followed = [
            (track, _V1Walk(track, self).run())
            for track in self.history.tracks
            if track.protocol == "v1"
        ]
        for track, followers in followed:
            self._check_lost(track, followers)
        self._check_origin()
        for track, topic, (since, until) in silences(self.history):
            detail = f"nothing since {since:.3f}, while it was connected"
            self.report("silence", track.name, topic, until, detail)
        places = self._places_of_books()
        bases = [track for track in self.history.tracks if track.protocol == "base"]
        numbers = {track.name: self._check_base(track, places) for track in bases}
        if converges:
            for track, followers in followed:
                self._check_end(track, {f.topic: f.place for f in followers})
            for track in bases:
                self._check_end_of_base(track, numbers[track.name])
        self.violations.sort(key=lambda one: one.at)
        return Verdict(self.violations, dict(self._gaps), self.excused)

    def note_gap(self, track: Track, topic: str, at: float, reason: str) -> None:
        """Count a gap; without a fault that explains it, it is a violation."""
        self._gaps[reason] += 1
        excused = (
            not is_ours(topic)
            or self.was_redis_away(at - AFTERMATH, at)
            # A node's local epoch ends when it publishes the topic again, if ever.
            or (reason in OUTAGE_REASONS and self._was_local(topic, at))
        )
        tell = self.excuse if excused else self.report
        tell("gap without a reason", track.name, topic, at, f"gap: {reason}")

    def _was_local(self, topic: str, at: float) -> bool:
        return any(
            one.began < at and one.epoch.startswith(LOCAL) for one in self._by_topic.get(topic, ())
        )

    def repeatable(self, topic: str) -> frozenset[str]:
        """Return what of a topic may have been published twice."""
        return frozenset(
            one.id or str(one.number)
            for one in self._by_topic.get(topic, ())
            if outage.may_be_twice(self, one)
        )

    # The answers to publishers

    def _check_positions(self) -> None:
        for topic, attempts in self._by_topic.items():
            well = [one for one in attempts if one.outcome == "ok"]
            for one in well:
                key = (topic, one.epoch, one.seq)
                other = self._acknowledged.setdefault(key, one)
                if other is not one:
                    detail = f"{one.epoch} {one.seq} is {name(other)} and {name(one)}"
                    self.report("position given twice", one.who, topic, one.ended, detail)
                if not one.entitled:
                    self.report("published without the right", one.who, topic, one.ended, name(one))
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
                    detail = f"{name(one)} comes after {name(latest)}, which began later"
                    self.report("order", one.who, topic, one.ended, detail)
                if latest is None or one.began > latest.began:
                    latest = one
        for epoch, of_epoch in epochs.items():
            if epoch.startswith(LOCAL):
                continue  # several nodes may each have one, beside that of Redis
            ended = min(one.ended for one in of_epoch)
            for other, of_other in epochs.items():
                if other == epoch or other.startswith(LOCAL):
                    continue
                if ended >= min(one.began for one in of_other):
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
                detail = f"{epoch} {seq} is {content}; its publisher was told it is {name(told)}"
                self.report("two contents", track.name, topic, at, detail)

    def _check_origin(self) -> None:
        """Each received update was published once, and its publisher got no failure."""
        attempts = {(one.topic, one.id or str(one.number)): one for one in self.history.attempts}
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
                detail = f"{name(attempt)}: {attempt.outcome}, {attempt.detail}"
                self.report("refused, and shown", who, topic, at, detail)
            place = found.setdefault((topic, content), (epoch, seq))
            if place != (epoch, seq):
                # The newest state is told again, in an epoch that is new, when Redis has lost it,
                # and when it was published while Redis was away.
                told_again = (
                    _is_state(attempt)
                    and place[0] != epoch
                    and (
                        self.had_redis_forgotten(0.0, at)
                        or (place[0].startswith(LOCAL) and not epoch.startswith(LOCAL))
                    )
                )
                twice = outage.may_be_twice(self, attempt)
                tell = self.excuse if told_again or twice else self.report
                detail = f"{name(attempt)} is {place} and {(epoch, seq)}"
                tell("published twice", who, topic, at, detail)

    def _check_lost(self, track: Track, followers: Iterable[Follower]) -> None:
        """Each acknowledged update reaches all subscribers, or a gap reports that it doesn't."""
        for follower in followers:
            by_epoch: dict[str, list[Attempt]] = defaultdict(list)
            if follower.channel == "orderbook":
                continue
            for attempt in self._by_topic.get(follower.topic, ()):
                if attempt.outcome == "ok" and not _is_state(attempt):
                    by_epoch[attempt.epoch].append(attempt)
            for stretch in follower.stretches:
                lost = [
                    one
                    for one in by_epoch[stretch.epoch]
                    if stretch.after < one.seq <= stretch.last
                    and not stretch.has(one.id or str(one.number), one.seq)
                ]
                if lost:
                    named = ", ".join(f"{one.seq} {name(one)}" for one in lost[:3])
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
        last = [
            one
            for one in self._by_topic.get(topic, ())
            if one.final and one.outcome == "ok" and not one.epoch.startswith(LOCAL)
        ]
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
        attempts = {topic: self._by_topic.get(topic, []) for topic in track.topics}
        return BaseWalk(track, self, places, attempts).run()

    def _check_end_of_base(self, track: Track, numbers: dict[str, int]) -> None:
        for topic in track.topics:
            last = self._last_of(topic)
            if last is not None and numbers.get(topic) != last.number:
                at = track.events[-1].at if track.events else 0.0
                detail = f"has book {numbers.get(topic)} in the end, not {last.number}"
                self.report("not converged", track.name, topic, at, detail)


def _is_state(attempt: Attempt) -> bool:
    """Return whether a newer one takes its place: a book, or a candle that is forming."""
    return bool(attempt.number) and not (
        attempt.topic.startswith("candles:") and is_final(attempt.number)
    )


class _V1Walk:
    """Goes through what happened to a client of bookcast.v1."""

    def __init__(self, track: Track, check: _Check) -> None:
        self._track = track
        self._check = check
        self._followers = {topic: self._follow(topic) for topic in track.topics}
        self._lost_at = 0.0
        self._lost_node = ""
        self._confirmed_at: dict[str, float] = {}

    def _follow(self, topic: str) -> Follower:
        def report(kind: str, at: float, detail: str) -> None:
            self._check.report(kind, self._track.name, topic, at, detail)

        repeatable = self._check.repeatable(topic)
        if topic.startswith("candles:"):
            return CandleFollower(topic, report, repeatable=repeatable)
        return Follower(topic, report, depth=self._track.depth, repeatable=repeatable)

    def run(self) -> list[Follower]:
        for event in self._track.events:
            match event.what:
                case "opened":
                    for follower in self._followers.values():
                        follower.begin()
                case "lost":
                    self._lost_at, self._lost_node = event.at, event.node
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
        confirmed_at = [self._confirmed_at.get(topic, 0.0) for topic in detail.split(",")]
        excused = self._check.was_redis_away(
            self._lost_at - AFTERMATH, at
        ) or self._check.was_unsaved(confirmed_at, self._lost_node, self._lost_at)
        tell = self._check.excuse if excused else self._check.report
        tell(
            "session lost", self._track.name, detail, at, f"connection lost at {self._lost_at:.3f}"
        )

    def _hear(self, at: float, message: Any) -> None:
        kind = message["type"]
        if kind == "error" and message.get("code") not in {"unknown_session", "forbidden"}:
            excused = message.get("code") == "engine_unavailable" and self._check.was(
                outage.CAUSES, at - AFTERMATH, at
            )
            tell = self._check.excuse if excused else self._check.report
            tell("error", self._track.name, "", at, str(message))
        follower = self._followers.get(f"{message.get('channel')}:{message.get('symbol')}")
        if follower is None:
            return
        if kind == "subscription_confirmed":
            self._confirmed_at[follower.topic] = at
            follower.confirm(at, message["epoch"], message["seq"])
        else:
            follower.hear(at, message)


__all__ = ["Verdict", "Violation", "check"]
