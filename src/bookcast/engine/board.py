"""A board for all nodes: what the one that runs the feed says of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import msgspec

from bookcast.backplane.link import Link
from bookcast.backplane.unreadable import UnreadableLog
from bookcast.errors import EngineAwayError

logger = logging.getLogger(__name__)

Notices = Mapping[str, bytes]

_encode: Final = msgspec.msgpack.Encoder().encode
_changes: Final = msgspec.msgpack.Decoder(dict[str, bytes])


class Board:
    """Notices by name. Whoever runs the feed posts them, all nodes have them at hand."""

    def __init__(self, link: Link, unreadable: UnreadableLog) -> None:
        self._link = link
        self._unreadable = unreadable
        self._posted: dict[str, bytes] | None = None
        self._heard = 0
        self.notices: dict[str, bytes] = {}
        """All notices, as far as this node has heard of them."""

    def begin(self) -> None:
        """Begin to post: what another node had posted goes with the first notice."""
        self._posted = None

    async def post(self, notices: Notices, fence: int) -> None:
        """Let these be all notices; only what has changed is told.

        Raises:
            EngineAwayError: when that can't be done now.
            FencedError: when another node runs the feed.
        """
        before = self._posted
        changes = {
            name: notice for name, notice in notices.items() if (before or {}).get(name) != notice
        }
        changes |= {name: b"" for name in (before or {}) if name not in notices}
        if before is not None and not changes:
            return
        pairs = [one for pair in changes.items() for one in pair]
        self._posted = None
        await self._link.call(
            "post",
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

    def hear(self, message: bytes) -> bool:
        """Take what has changed; True: all of it has to be read."""
        self._heard += 1
        if not message:
            return True
        try:
            changes = _changes.decode(message)
        except msgspec.MsgspecError as error:
            self._unreadable.note("what changed on the board", error)
            return True
        for name, notice in changes.items():
            if notice:
                self.notices[name] = notice
            else:
                self.notices.pop(name, None)
        return False

    async def read(self) -> None:
        """Read all notices."""
        heard = -1
        while heard != self._heard:  # what was heard meanwhile may be newer
            heard = self._heard
            try:
                found = await self._link.call("board", [self._link.keys.board])
            except EngineAwayError as error:
                logger.debug("the board can't be read: %s", error)
                return
            pairs = zip(found[::2], found[1::2], strict=True)
            self.notices = {name.decode(): notice for name, notice in pairs}
