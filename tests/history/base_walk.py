"""Which books, having no positions, a client of the base protocol may receive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tests.history.data import book_of
from tests.history.every_book import EveryBook
from tests.history.follow import Place, is_ours
from tests.history.history import LOCAL, Attempt, Track
from tests.history.judgement import AFTERMATH, Judgement, name

RETURN_SECONDS = 6.0
"""A base client that is back for so long must have got the books that it had asked for."""

_decode = msgspec.json.Decoder().decode


class BaseWalk:
    """Goes through what happened to a base client, whose books have no positions."""

    def __init__(
        self,
        track: Track,
        check: Judgement,
        places: dict[tuple[str, int], Place],
        attempts: Mapping[str, Sequence[Attempt]],
    ) -> None:
        self._track = track
        self._check = check
        self._places = places
        self._attempts = attempts
        self._every = {
            topic: EveryBook(track, topic, check, places, attempts[topic])
            for topic in (track.topics if "all" in check.history.modes else ())
            if is_ours(topic)
        }
        self._numbers: dict[str, int] = {}
        self._since_opening: set[str] = set()
        self._opened_at: float | None = None
        self._lost_at = 0.0
        self._lost_node = ""
        self._confirmed_at: dict[str, float] = {}
        self._heard_at = 0.0
        self._connections = 0

    def run(self) -> dict[str, int]:
        for event in self._track.events:
            match event.what:
                case "opened":
                    self._opened_at = event.at
                    self._connections += 1
                    self._since_opening.clear()
                case "lost" | "stopped":
                    self._end(event.at, event.node)
                    for every in self._every.values():
                        every.lose(event.at, event.node)
                case "heard":
                    message = _decode(event.message)
                    if message["type"] == "orderbook_update":
                        self._hear(event.at, message)
                    elif message["type"] == "subscription_confirmed":
                        self._subscribe(f"orderbook:{message['symbol']}")
                        self._confirmed_at[f"orderbook:{message['symbol']}"] = event.at
                        # The newest book follows, whether it was shown before or not.
                        self._since_opening.discard(f"orderbook:{message['symbol']}")
                    elif message["type"] == "error":
                        self._check.report("error", self._track.name, "", event.at, str(message))
                case "resubscribed":
                    self._judge("session lost", event.at, "it had to subscribe again")
                    for topic in self._every:
                        self._subscribe(topic)
        return self._numbers

    def _end(self, at: float, node: str) -> None:
        """Judge a connection that is over: it must have brought the books without a word."""
        opened, self._opened_at = self._opened_at, None
        if opened is None:
            return
        missing = set(self._track.topics) - self._since_opening
        if missing and self._connections > 1 and at - opened > RETURN_SECONDS:
            self._judge("no books after coming back", at, ", ".join(sorted(missing)), missing)
        self._lost_at, self._lost_node = at, node

    def _judge(self, kind: str, at: float, detail: str, missing: Iterable[str] = ()) -> None:
        # It says nothing when it is back, so what Redis still has must be found once Redis is back.
        since = min(self._lost_at, self._heard_at) - AFTERMATH
        confirmed_at = [self._confirmed_at.get(topic, 0.0) for topic in missing]
        excused = self._check.had_redis_forgotten(since, at) or (
            bool(confirmed_at)
            and self._check.was_unsaved(confirmed_at, self._lost_node, self._lost_at)
        )
        detail = f"{detail}; connection lost at {self._lost_at:.3f}"
        tell = self._check.excuse if excused else self._check.report
        tell(kind, self._track.name, "", at, detail)

    def _hear(self, at: float, message: Any) -> None:
        topic = f"orderbook:{message['symbol']}"
        self._heard_at = at
        data = message["data"]
        if not is_ours(topic):
            self._since_opening.add(topic)
            return
        number = data.get("n", 0)
        attempt = self._published(topic, number)
        expected = book_of(message["symbol"], max(1, number))
        if attempt is None or data != expected:
            self._check.report("content", self._track.name, topic, at, f"not book {number}: {data}")
            return
        if attempt.outcome == "failed" or attempt.began > at:
            detail = f"{name(attempt)}: {attempt.detail}"
            self._check.report("refused, and shown", self._track.name, topic, at, detail)
        before = self._numbers.get(topic)
        every = self._every.get(topic)
        if every is not None:
            every.hear(at, number)
        # Where every book counts, those that may not have come are shown again after a loss.
        goes_on = every is None or topic in self._since_opening
        if before is not None and goes_on:
            self._compare(at, topic, before, number)
        self._since_opening.add(topic)
        self._numbers[topic] = number

    def _compare(self, at: float, topic: str, before: int, number: int) -> None:
        was = self._places.get((topic, before))
        if number == before:
            if topic in self._since_opening:
                # A node republishes its local updates to Redis afterwards, so its clients get them.
                told_again = was is not None and was[0].startswith(LOCAL)
                tell = self._check.excuse if told_again else self._check.report
                detail = f"book {number} twice on one connection"
                tell("duplicate", self._track.name, topic, at, detail)
            return
        is_ = self._places.get((topic, number))
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

    def _subscribe(self, topic: str) -> None:
        if topic in self._every:
            self._every[topic].subscribe()

    def _published(self, topic: str, number: int) -> Attempt | None:
        """Return the publication of a book."""
        found = self._attempts.get(topic, ())[number - 1 : number]  # from 1, in order
        return found[0] if found and found[0].number == number else None
