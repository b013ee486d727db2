"""Session records in Redis: one record per key, with its owner's generation."""

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
    """The outcome of a claim in Redis.

    Attributes:
        kind: ``none``: there is no such session; ``mine``: this node has it; ``live``: its client
            is connected at the ``owner``; ``taken``: this node has taken it from the ``owner``.
        generation: the session's generation.
        owner: a node's id.
        data: the saved record, if the session belongs to this node now.
    """

    kind: Literal["none", "mine", "live", "taken"]
    generation: int
    owner: str
    data: bytes


class SessionRecords:
    """Reads and writes the records of sessions.

    A session's generation works as a fencing token: it grows each time another node takes the
    session, and writes of the earlier owner are refused. All calls raise EngineAwayError if Redis
    is away.

    Args:
        link: the connection to Redis.
        node: this node's id.
        ttl: seconds that a lost client's session is kept.
        live_seconds: a connected client's session is kept this much longer without a touch; after
            that its node counts as dead.
    """

    def __init__(self, link: Link, node: str, ttl: float, live_seconds: float) -> None:
        self._link = link
        self._node = node
        self._ttl = ttl
        self._live_seconds = live_seconds

    @property
    def is_away(self) -> bool:
        """Whether Redis is away."""
        return self._link.is_away

    @property
    def trouble(self) -> str:
        """Why Redis is away; empty if it isn't."""
        return self._link.trouble

    def key(self, kind: Kind, principal: str, name: str) -> str:
        """Return the key of an id or token: a hash, since the token is secret."""
        return self._link.keys.session(kind, principal, name)

    async def save(self, key: str, generation: int, data: bytes, *, live: bool) -> int:
        """Save a session with its generation; 0 for a new session.

        Returns:
            Its generation; 0 if another node has the session.
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
        """Renew a connected client's session. Return False if it isn't this node's any more."""
        return bool(
            await self._link.call(
                "session_touch", [key], [self._node, generation, self._keep_ms(live=True)]
            )
        )

    async def end(self, key: str, generation: int) -> None:
        """Remove a session."""
        await self._link.call("session_end", [key], [self._node, generation])

    async def claim(self, key: str, *, mark: object = None) -> Record:
        """Take over a session.

        ``mark``: take it even if its client is connected, if it still has this generation;
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
    """A topic of a client: its view, and the position that the client has received."""

    topic: Topic
    requested_symbol: str
    depth: int | None
    delta: bool
    interval_ms: int
    lossless: bool
    position: Position | None


class _Saved(msgspec.Struct, frozen=True, array_like=True):
    """A saved session. With ``elsewhere``, only the token under which it is found now."""

    seen: tuple[_Seen, ...] = ()
    elsewhere: str = ""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Saved)


def write(seen: SavedSubscriptions) -> bytes:
    """Return the record of a client's subscriptions."""
    return _encode(_Saved(tuple(_seen(topic, spec, last) for topic, (spec, last) in seen.items())))


def write_elsewhere(token: str) -> bytes:
    """Return a record that points to another token, under which the session is found now."""
    return _encode(_Saved(elsewhere=token))


def read(data: bytes) -> SavedSubscriptions | str:
    """Return a client's subscriptions, or the token under which they are found now.

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
