"""Writes this node's sessions to Redis in the background, when they change or end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Final

from bookcast.background import Coalescer, Periodic
from bookcast.errors import EngineAwayError
from bookcast.sessions.store import records
from bookcast.sessions.store.base import Holder
from bookcast.sessions.store.records import SessionRecords
from bookcast.sessions.times import SessionTimes

logger = logging.getLogger(__name__)

TOGETHER: Final = 500
"""At most this many sessions are saved or touched together, so that other tasks get a turn."""


class SessionPersister:
    """Saves sessions, each with the generation that proves that it belongs to this node.

    Args:
        store: reads and writes the records.
        holders: the holder of each key at this node; a live view.
        unsure: holders whose session another node may have; they aren't saved yet.
        refused: called when another node has the session of a key. Its last argument says whether
            the session had been saved by this node before.
        times: the intervals.
    """

    def __init__(
        self,
        store: SessionRecords,
        holders: Mapping[str, Holder],
        *,
        unsure: set[Holder],
        refused: Callable[[str, Holder, bool], None],
        times: SessionTimes,
    ) -> None:
        self._records = store
        self._holders = holders
        self._unsure = unsure
        self._refused = refused
        self._times = times
        self._generations: dict[str, int] = {}
        self._dirty: dict[Holder, None] = {}
        # Holders of the round that is being saved now.
        self._round: frozenset[Holder] = frozenset()
        self._round_ended = asyncio.Event()
        self._ended: dict[str, int] = {}
        # Keys that are being saved or ended now, so Redis may not have the newest state yet.
        self._under_way: set[str] = set()
        self._recovered = asyncio.Event()
        self._saving = Coalescer(self._save, "saving sessions")
        self._touching = Periodic(self._touch, times.touch, "touching sessions")

    def start(self) -> None:
        """Begin to touch the sessions of connected clients regularly."""
        self._touching.start()

    async def stop(self) -> None:
        """Save what isn't saved yet, and end."""
        await self._touching.close()
        await self._saving.close(0 if self._records.is_away else self._times.stop)

    def recover(self) -> None:
        """Save all sessions: Redis is back, and may have lost them."""
        self._dirty.update(dict.fromkeys(self._holders.values()))
        self._recovered.set()
        self._saving.request()

    def is_changing(self, key: str) -> bool:
        """Return whether a key's record in Redis has yet to be saved or ended."""
        return key in self._ended or key in self._under_way

    async def wait_saved(self, key: str) -> None:
        """Wait until the newest state of a key's session is saved, or its record is removed."""
        while self.is_changing(key) or (
            (holder := self._holders.get(key)) is not None
            and holder not in self._unsure
            and (holder in self._dirty or holder in self._round)
        ):
            self._round_ended.clear()
            await self._round_ended.wait()

    def is_saved(self, holder: Holder) -> bool:
        """Return whether Redis has a session under all its keys."""
        return all(self._generations.get(key) for key in holder.keys)

    @property
    def is_idle(self) -> bool:
        """Whether nothing has to be saved or ended."""
        return not self._dirty and not self._ended and self._saving.is_idle

    def save(self, holder: Holder) -> None:
        """Save a session soon."""
        self._dirty[holder] = None
        self._saving.request()

    def take(self, key: str, generation: int) -> None:
        """Note that the session of a key belongs to this node from now on."""
        self._generations[key] = generation

    def end(self, key: str) -> None:
        """Remove the record of a key."""
        generation = self._generations.pop(key, 0)
        if generation:
            self._ended[key] = generation
            self._saving.request()

    def give_up(self, key: str) -> None:
        """Note that the session of a key belongs to another node now."""
        self._generations.pop(key, None)

    async def _save(self) -> None:
        while self._dirty or self._ended:
            # Changes that come meanwhile are saved together in the next round.
            self._recovered.clear()
            saved = await self._save_once()
            self._round_ended.set()
            if not saved:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._recovered.wait(), self._times.retry)

    async def _save_once(self) -> bool:
        """Remove ended sessions, then save changed ones. Return False if a retry is needed."""
        if self._records.is_away:
            return False
        ended, self._ended = self._ended, {}
        self._under_way.update(ended)
        try:
            ends = [self._end_one(key, number) for key, number in ended.items()]
            if not all(await asyncio.gather(*ends)):
                return False
        finally:
            self._under_way.difference_update(ended)
        dirty = list(self._dirty)[:TOGETHER]
        for holder in dirty:
            del self._dirty[holder]
        self._round = frozenset(dirty)
        try:
            return all(await asyncio.gather(*(self._save_one(holder) for holder in dirty)))
        finally:
            self._round = frozenset()

    async def _end_one(self, key: str, generation: int) -> bool:
        try:
            await self._records.end(key, generation)
        except EngineAwayError as error:
            logger.debug("a session's record wasn't removed: %s", error)
            self._ended[key] = generation
            return False
        return True

    async def _save_one(self, holder: Holder) -> bool:
        try:
            await self._save_whole(holder)
        except EngineAwayError as error:
            logger.debug("session not saved: %s", error, extra=holder.fields())
            self._dirty.setdefault(holder)
            return False
        except Exception:
            # A fault in one session must not stop the saving of the others.
            logger.exception("saving a session met a fault of ours", extra=holder.fields())
        return True

    async def _save_whole(self, holder: Holder) -> None:
        keys = [key for key in holder.keys if self._holders.get(key) is holder]
        if holder in self._unsure or keys != list(holder.keys):
            return
        if not holder.subscription_count:
            for key in keys:
                self.end(key)
            return
        whole = records.write(holder.seen())
        for key in keys:
            data = whole if key == keys[0] else records.write_elsewhere(holder.token)
            self._under_way.add(key)
            try:
                known = self._generations.get(key, 0)
                generation = await self._records.save(key, known, data, live=holder.is_connected)
            finally:
                self._under_way.discard(key)
            self._note_saved(key, holder, known, generation)

    def _note_saved(self, key: str, holder: Holder, known: int, generation: int) -> None:
        if generation and key not in self._holders:
            self._ended[key] = generation  # the session ended while it was being saved
            self._saving.request()
        elif generation:
            self._generations[key] = max(generation, self._generations.get(key, 0))
        elif self._holders.get(key) is holder:  # else a new holder has the key, and is saved too
            self._refused(key, holder, bool(known))

    async def _touch(self) -> None:
        keys = list(self._generations)
        for at in range(0, len(keys), TOGETHER):
            await self._touch_some(keys[at : at + TOGETHER])

    async def _touch_some(self, keys: list[str]) -> None:
        live = [
            (key, holder, self._generations[key])
            for key in keys
            if (holder := self._holders.get(key)) is not None
            and holder.is_connected
            and key in self._generations
        ]
        try:
            kept = await asyncio.gather(
                *(self._records.touch(key, generation) for key, _, generation in live)
            )
        except EngineAwayError:
            return
        # Redis has lost the session, or another node has it: the save shows which.
        for (_, holder, _), well in zip(live, kept, strict=True):
            if not well:
                self.save(holder)
