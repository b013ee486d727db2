"""Sessions as they stand in Redis: one record a key, under the generation of its owner."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import msgspec

from bookcast.backplane.link import Link
from bookcast.hub.view_spec import ViewSpec
from bookcast.model.cursor import Cursor
from bookcast.model.topics import Topic
from bookcast.model.updates import Position
from bookcast.protocol.subscriptions import SavedSubscriptions
from bookcast.sessions.store.base import ANY, Kind


class Record(NamedTuple):
    """What came of a claim in Redis.

    Attributes:
        kind: ``none``: there is no such session; ``mine``: this node has it; ``live``: its client
            is connected at the ``owner``; ``taken``: it was the ``owner``'s and is this node's.
        generation: of the session.
        owner: a node.
        data: what was saved, where it is this node's.
    """

    kind: Literal["none", "mine", "live", "taken"]
    generation: int
    owner: str
    data: bytes


class SessionRecords:
    """Reads and writes the records of sessions.

    A session has a generation, which grows each time another node takes it: what its earlier owner
    still saves or ends then is refused. Everything raises EngineAwayError when it can't be done.

    Args:
        link: the way to Redis.
        node: the id of this one.
        ttl: seconds that a lost client's session is kept.
        live_seconds: a connected client's is kept for so long beyond that; then its node is dead.
    """

    def __init__(self, link: Link, node: str, ttl: float, live_seconds: float) -> None:
        self._link = link
        self._node = node
        self._ttl = ttl
        self._live_seconds = live_seconds

    @property
    def is_away(self) -> bool:
        """Whether Redis is, so that nothing can be done."""
        return self._link.is_away

    @property
    def trouble(self) -> str:
        """Why Redis is away; empty while it is there."""
        return self._link.trouble

    def key(self, kind: Kind, principal: str, name: str) -> str:
        """Return the key of what is found by an id or token: a hash, as that may be secret."""
        return self._link.keys.session(kind, principal, name)

    async def save(self, key: str, generation: int, data: bytes, *, live: bool) -> int:
        """Save a session under its generation, 0 for one that is new.

        Returns:
            Its generation, 0 when another node has it.
        """
        return int(
            await self._link.call(
                "session_save",
                [key],
                [self._node, generation, int(live), self._keep_ms(live=live), data],
                again=True,
            )
        )

    async def touch(self, key: str, generation: int) -> bool:
        """Keep the session of a connected client for longer; return False if it isn't ours."""
        return bool(
            await self._link.call(
                "session_touch", [key], [self._node, generation, self._keep_ms(live=True)]
            )
        )

    async def end(self, key: str, generation: int) -> None:
        """Forget a session."""
        await self._link.call("session_end", [key], [self._node, generation])

    async def claim(self, key: str, *, mark: object = None) -> Record:
        """Take a session over; ``mark``: the generation under which that may be a connected one's.

        :data:`ANY`: whatever its generation is.
        """
        force = "*" if mark is ANY else "" if mark is None else str(mark)
        kind, generation, owner, data = await self._link.call(
            "session_claim", [key], [self._node, force], again=True
        )
        return Record(kind.decode(), int(generation), owner.decode(), data)

    def _keep_ms(self, *, live: bool) -> int:
        return round((self._ttl + (self._live_seconds if live else 0)) * 1000)


# What is in a record


class _Seen(msgspec.Struct, frozen=True, array_like=True):
    """A topic that a client sees, how, and how far it has received it."""

    topic: Topic
    requested_symbol: str
    depth: int | None
    delta: bool
    interval_ms: int
    lossless: bool
    position: Position | None


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    """A session; or ``elsewhere``: the token that it is found by now."""

    seen: tuple[_Seen, ...] = ()
    elsewhere: str = ""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Saved)


def write(seen: SavedSubscriptions) -> bytes:
    """Return a record of what a client sees."""
    return _encode(_Saved(tuple(_seen(topic, spec, last) for topic, (spec, last) in seen.items())))


def write_elsewhere(token: str) -> bytes:
    """Return a record that says: the session is found by another token now."""
    return _encode(_Saved(elsewhere=token))


def read(data: bytes) -> SavedSubscriptions | str:
    """Return what a client saw, or the token by which that is found now.

    Raises:
        msgspec.MsgspecError: for a record that can't be read.
    """
    saved = _decode.decode(data)
    if saved.elsewhere:
        return saved.elsewhere
    return {
        one.topic: (
            ViewSpec(
                "",
                one.requested_symbol,
                one.depth,
                one.delta,
                one.interval_ms,
                lossless=one.lossless,
            ),
            Cursor(one.position) if one.position is not None else None,
        )
        for one in saved.seen
    }


def _seen(topic: Topic, spec: ViewSpec, last: Cursor | None) -> _Seen:
    return _Seen(
        topic,
        spec.requested_symbol,
        spec.depth,
        spec.delta,
        spec.interval_ms,
        spec.lossless,
        last.position if last is not None else None,
    )
