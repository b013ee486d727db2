"""How sessions are written where other nodes find them."""

from __future__ import annotations

from typing import Final

import msgspec

from bookcast.hub.view import ViewSpec
from bookcast.model import Position, Topic
from bookcast.model.cursor import Cursor
from bookcast.protocol.connection import Parked
from bookcast.sessions.session import Session


class _Seen(msgspec.Struct, frozen=True, array_like=True):
    """A topic that a client sees, how, and how far it surely has it."""

    topic: Topic
    spelling: str
    depth: int | None
    delta: bool
    interval_ms: int
    every: bool
    position: Position | None


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    """A session; or ``elsewhere``: the token that it is found by now."""

    seen: tuple[_Seen, ...] = ()
    elsewhere: str = ""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Saved)


def session(one: Session) -> bytes:
    """Write what a session sees."""
    return parked(one.seen())


def parked(seen: Parked) -> bytes:
    """Write what a client saw."""
    return _encode(_Saved(tuple(_seen(topic, spec, last) for topic, (spec, last) in seen.items())))


def elsewhere(token: str) -> bytes:
    """Write that a session is found by another token by now."""
    return _encode(_Saved(elsewhere=token))


def read(data: bytes) -> Parked | str:
    """Read what a client saw, or the token by which that is found now."""
    saved = _decode.decode(data)
    if saved.elsewhere:
        return saved.elsewhere
    return {
        one.topic: (
            ViewSpec("", one.spelling, one.depth, one.delta, one.interval_ms, every=one.every),
            Cursor(one.position) if one.position is not None else None,
        )
        for one in saved.seen
    }


def _seen(topic: Topic, spec: ViewSpec, last: Cursor | None) -> _Seen:
    return _Seen(
        topic,
        spec.spelling,
        spec.depth,
        spec.delta,
        spec.interval_ms,
        spec.every,
        last.position if last is not None else None,
    )
