"""Writes this node's sessions to Redis behind the clients' backs: as they change, as they end."""

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
"""So many sessions are saved or touched together; then others have their turn."""


class SessionPersister:
    """Saves sessions under the generations that make them this node's.

    Args:
        store: where the records are.
        holders: who holds which key at this node, as it stands at any moment.
        unsure: those of whom nobody else is told yet.
        refused: called when another node has the session of a key; ``known``: it was this node's.
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
        self._ended: dict[str, int] = {}
        # What is being saved or ended at this moment: it isn't as Redis says.
        self._under_way: set[str] = set()
        self._recovered = asyncio.Event()
        self._saving = Coalescer(self._save, "saving sessions")
        self._touching = Periodic(self._touch, times.touch, "touching sessions")

    def start(self) -> None:
        """Keep the sessions of connected clients from now on."""
        self._touching.start()

    async def stop(self) -> None:
        """Save what isn't saved yet, and end."""
        await self._touching.close()
        await self._saving.close(0 if self._records.is_away else self._times.stop)

    def recover(self) -> None:
        """Redis is back, and may have forgotten sessions: save them all."""
        self._dirty.update(dict.fromkeys(self._holders.values()))
        self._recovered.set()
        self._saving.request()

    def is_changing(self, key: str) -> bool:
        """Return whether what is found by a key isn't saved or ended yet as it should be."""
        return key in self._ended or key in self._under_way

    def is_saved(self, holder: Holder) -> bool:
        """Return whether a session is found in Redis by all its keys."""
        return all(self._generations.get(key) for key in holder.keys)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to save or to end."""
        return not self._dirty and not self._ended and self._saving.is_idle

    def save(self, holder: Holder) -> None:
        """Save a session soon."""
        self._dirty[holder] = None
        self._saving.request()

    def take(self, key: str, generation: int) -> None:
        """Take note that the session of a key is this node's from now on."""
        self._generations[key] = generation

    def end(self, key: str) -> None:
        """End what is saved under a key."""
        generation = self._generations.pop(key, 0)
        if generation:
            self._ended[key] = generation
            self._saving.request()

    def give_up(self, key: str) -> None:
        """Take note that the session of a key is another node's by now."""
        self._generations.pop(key, None)

    async def _save(self) -> None:
        while self._dirty or self._ended:
            # What changes meanwhile is saved together in the next round.
            self._recovered.clear()
            if not await self._save_once():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._recovered.wait(), self._times.retry)

    async def _save_once(self) -> bool:
        """Save what has changed, after ending what is over; return False to be called later."""
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
        return all(await asyncio.gather(*(self._save_one(holder) for holder in dirty)))

    async def _end_one(self, key: str, generation: int) -> bool:
        try:
            await self._records.end(key, generation)
        except EngineAwayError as error:
            logger.debug("a session isn't ended: %s", error)
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
            # One that can't be saved must not take the others with it.
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
            self._ended[key] = generation  # meanwhile it was over
            self._saving.request()
        elif generation:
            self._generations[key] = max(generation, self._generations.get(key, 0))
        elif self._holders.get(key) is holder:  # else it goes on in another, which is saved too
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
        # Redis has forgotten it, or another node has it: saving it shows which.
        for (_, holder, _), well in zip(live, kept, strict=True):
            if not well:
                self.save(holder)
