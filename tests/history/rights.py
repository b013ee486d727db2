"""Whether clients receive only what their tokens allow, and only while these are valid."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from tests.history.history import Event, Track
from tests.history.judgement import Judgement
from tests.history.tokens import LIFETIME

SLACK = 3.0
"""So long after a token has expired something may still be on its way."""

EARLY = 0.5
"""Clocks are read at several places, one after the other."""

EXPIRED = 4010
REFUSED = 4503

_decode = msgspec.json.Decoder().decode


class _Held(NamedTuple):
    """A token that the server has accepted. ``symbols``: empty for all."""

    until: float
    symbols: tuple[str, ...]

    def allows(self, symbol: str) -> bool:
        return not self.symbols or symbol in self.symbols


def check(judgement: Judgement) -> None:
    """Check it for all clients, where tokens are asked for."""
    if "auth" not in judgement.history.modes:
        return
    for track in judgement.history.tracks:
        walk = _Walk(track, judgement)
        for event in track.events:
            for kind, topic, detail in walk.take(event):
                judgement.report(kind, track.name, topic, event.at, detail)


Breach = tuple[str, str, str]
"""Its kind, the topic, and what is wrong."""


class _Walk:
    """Goes through what happened to one client, with the token that it holds."""

    def __init__(self, track: Track, judgement: Judgement) -> None:
        self._track = track
        self._judgement = judgement
        self._held: _Held | None = None
        self._shown: deque[_Held] = deque()
        self._is_warned = False

    def take(self, event: Event) -> Iterator[Breach]:
        match event.what:
            case "opened":
                self._hold(None)
                self._shown.clear()
            case "token":
                self._hold(_held(event))
            case "renewed":
                self._shown.append(_held(event))
            case "heard":
                yield from self._hear(event.at, _decode(event.message))
            case "lost":
                yield from self._lose(event)
            case "refused" if "HTTP 401" in event.detail or "HTTP 403" in event.detail:
                yield "refused a good token", "", event.detail

    def _hold(self, held: _Held | None) -> None:
        self._held, self._is_warned = held, False

    def _hear(self, at: float, message: Any) -> Iterator[Breach]:
        topic = f"{message.get('channel', 'orderbook')}:{message.get('symbol')}"
        match message["type"]:
            case "authenticated":
                self._hold(self._shown.popleft())
            case "token_expiring":
                self._is_warned = True
            case "error" if message.get("code") == "forbidden":
                held = self._held
                if held is not None and held.allows(message.get("symbol", "")):
                    yield "forbidden, though allowed", topic, str(message)
            case _ if "data" in message:
                yield from self._see(at, topic, message["symbol"])

    def _see(self, at: float, topic: str, symbol: str) -> Iterator[Breach]:
        held = self._held
        if held is None:
            yield "shown without a token", topic, ""
        elif not held.allows(symbol):
            yield "shown without the right", topic, f"its token is for {', '.join(held.symbols)}"
        elif at > held.until + SLACK and not self._was_held_up(held.until, at):
            yield "shown after its token expired", topic, f"at {held.until:.3f}"

    def _lose(self, event: Event) -> Iterator[Breach]:
        held = self._held
        if event.code == REFUSED:
            yield "refused a good token", "", event.detail
        if event.code != EXPIRED or held is None:
            return
        if event.at < held.until - EARLY:
            yield "expired too early", "", f"its token is good until {held.until:.3f}"
        warns = self._track.protocol == "v1" and not self._is_warned
        if warns and not self._was_held_up(held.until - LIFETIME, event.at):
            yield "not told that its token expires", "", f"at {held.until:.3f}"

    def _was_held_up(self, since: float, until: float) -> bool:
        """Return whether messages may be late: the client reads slowly, or a node hung."""
        return "slow" in self._track.name or self._judgement.was(
            {"node paused"}, since - SLACK, until
        )


def _held(event: Event) -> _Held:
    return _Held(event.seconds, tuple(event.detail.split(",")) if event.detail else ())
