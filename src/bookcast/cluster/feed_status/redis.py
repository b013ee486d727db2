"""The feed status board in Redis. The leader posts changes, and pub/sub sends them to all nodes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from bookcast.background import Coalescer
from bookcast.backplane.base import Backplane
from bookcast.cluster.feed_status.base import FeedStatusBoard, Notices
from bookcast.errors import EngineAwayError

logger = logging.getLogger(__name__)

_encode: Final = msgspec.msgpack.Encoder().encode
_changes: Final = msgspec.msgpack.Decoder(dict[str, bytes])


class RedisFeedStatus(FeedStatusBoard):
    """Keeps a copy of the board. ``plane``: the node's parts of the backplane."""

    def __init__(self, plane: Backplane) -> None:
        self._link = plane.link
        self._unreadable = plane.unreadable
        self._posted: dict[str, bytes] | None = None
        self._heard = 0
        self._reading = Coalescer(self.read, "board")
        self._notices: dict[str, bytes] = {}
        plane.subscriber.listen(plane.link.keys.board_channel, self._hear)

    @property
    def notices(self) -> dict[str, bytes]:
        """All notices that have reached this node."""
        return self._notices

    def begin(self) -> None:
        """Begin to post as leader: the first post removes the notices of the leader before."""
        self._posted = None

    async def post(self, make: Callable[[], Notices], fence: int) -> None:
        """Replace all notices. Only changes are sent.

        Raises:
            EngineAwayError: when Redis is away.
            FencedError: when another node runs the feed.
        """
        notices, before = make(), self._posted
        changes = {
            name: notice for name, notice in notices.items() if (before or {}).get(name) != notice
        }
        changes |= {name: b"" for name in (before or {}) if name not in notices}
        if before is not None and not changes:
            return
        pairs = [one for pair in changes.items() for one in pair]
        self._posted = None
        await self._link.call(
            "feed_status_post",
            [self._link.keys.board, self._link.keys.lock_number],
            [
                self._link.keys.board_channel,
                fence,
                "=" if before is None else "+",
                _encode(changes) if before is not None else b"",
                *pairs,
            ],
        )
        self._posted = dict(notices)

    def read_soon(self) -> None:
        """Read all notices in the background: messages may have been lost."""
        self._reading.request()

    async def close(self) -> None:
        """Stop."""
        await self._reading.close()

    def _hear(self, message: bytes) -> None:
        """Apply a message with changes; an empty one means that the board must be read."""
        self._heard += 1
        if not message:
            self.read_soon()
            return
        try:
            changes = _changes.decode(message)
        except msgspec.MsgspecError as error:
            self._unreadable.note("changes of the feed status board", error)
            self.read_soon()
            return
        for name, notice in changes.items():
            if notice:
                self._notices[name] = notice
            else:
                self._notices.pop(name, None)

    async def read(self) -> None:
        """Read all notices."""
        heard = -1
        while (
            heard != self._heard
        ):  # changes that arrived during the call may be newer than its answer
            heard = self._heard
            try:
                found = await self._link.call("feed_status_read", [self._link.keys.board])
            except EngineAwayError as error:
                logger.debug("the feed status board can't be read: %s", error)
                return
            pairs = zip(found[::2], found[1::2], strict=True)
            self._notices = {name.decode(): notice for name, notice in pairs}
