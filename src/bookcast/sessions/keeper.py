"""Keeps this node's sessions where others find them: saved as they change, ended as they end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, Protocol

from bookcast.engine.shelf import LIVE_SECONDS, Shelf
from bookcast.errors import EngineAwayError
from bookcast.protocol.connection import Parked
from bookcast.sessions import saved
from bookcast.sessions.session import Session

logger = logging.getLogger(__name__)

STOP_SECONDS: Final = 2.0
"""How long the end of a node waits until its sessions are saved."""

TOGETHER: Final = 500
"""So many sessions are saved or touched together; then others have their turn."""

TOUCH_SECONDS: Final = LIVE_SECONDS / 3
"""How often sessions of connected clients are kept for longer."""

RETRY_SECONDS: Final = 1.0
"""How soon what couldn't be saved is saved again."""


class Residents(Protocol):
    """The sessions of this node, as far as keeping them needs to know them."""

    def is_connected(self, session: Session) -> bool:
        """Tell whether a client is still there."""

    def is_parked(self, session: Session) -> bool:
        """Tell whether a session waits for its client."""

    def owns(self, session: Session) -> bool:
        """Tell whether a session is the one that is found by its id."""

    def lose(self, session: Session) -> None:
        """Let a session go that another node has taken."""


class Keeper:
    """Keeps sessions on the shelf, under the generation that makes them this node's.

    Args:
        shelf: where sessions are kept.
        is_sought: tells whether it must first be looked for what a client left behind elsewhere.
        seek: looks for that now: there is something, and this node didn't know.
    """

    def __init__(
        self,
        shelf: Shelf,
        *,
        is_sought: Callable[[Session], bool],
        seek: Callable[[Session], None],
    ) -> None:
        self._shelf = shelf
        self._is_sought = is_sought
        self._seek = seek
        self._residents: Residents
        # Whose sessions they are, for as long as this node has them.
        self._by_key: dict[str, Session] = {}
        self._generations: dict[str, int] = {}
        self._dirty: dict[Session, None] = {}
        self._ended: dict[str, int] = {}
        # What is being saved or ended at this moment: it isn't as Redis says.
        self._under_way: set[str] = set()
        self._saving: asyncio.Task[None] | None = None
        self._recovered = asyncio.Event()
        self._touching: asyncio.Task[None] | None = None

    def start(self, residents: Residents) -> None:
        """Begin, for the sessions of this node."""
        self._residents = residents
        self._touching = asyncio.create_task(self._touch(), name="touches sessions")

    async def stop(self) -> None:
        """Save what isn't saved yet, and end."""
        if self._touching is not None:
            self._touching.cancel()
        if self._saving is not None and not self._shelf.is_away:
            await asyncio.wait([self._saving], timeout=STOP_SECONDS)
        if self._saving is not None:  # Redis is away, or slow
            self._saving.cancel()
            await asyncio.wait([self._saving])

    def recover(self) -> None:
        """Redis is back, and may have forgotten sessions: save them all."""
        self._dirty.update(dict.fromkeys(self._by_key.values()))
        self._recovered.set()
        self._save_soon()

    def keys_of(self, session: Session) -> list[str]:
        """Give what a session is found by: its id, or its tokens, its own first."""
        principal, client_id = session.id
        if not session.tokens:
            return [self._shelf.key("id", principal, client_id)]
        return [self.token_key(session, token) for token in session.tokens]

    def token_key(self, session: Session, token: str) -> str:
        """Give what a session of the same principal as this one is found by, by its token."""
        return self._shelf.key("token", session.id[0], token)

    def kept(self, key: str) -> Session | None:
        """Give the session of this node that is found by a key."""
        return self._by_key.get(key)

    def is_changing(self, key: str) -> bool:
        """Tell whether what is found by a key isn't saved or ended yet as it should be."""
        return key in self._ended or key in self._under_way

    def is_saved(self, session: Session) -> bool:
        """Tell whether a session is found by what it should be found by."""
        keys = self.keys_of(session)
        return all(self._by_key.get(key) is session and self._generations.get(key) for key in keys)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to save or to end."""
        return not self._dirty and not self._ended and self._saving is None

    # What becomes of sessions

    def change(self, session: Session) -> None:
        """Note that a session sees something else than before, or is parked."""
        self._dirty[session] = None
        self._save_soon()

    def end(self, session: Session) -> None:
        """Note that a session is over."""
        self._dirty.pop(session, None)
        for key in self.keys_of(session):
            if self._by_key.get(key) is session:
                self.end_key(key)

    def end_key(self, key: str) -> None:
        """Let nothing be found by a key any more."""
        self._by_key.pop(key, None)
        generation = self._generations.pop(key, 0)
        if generation:
            self._ended[key] = generation
            self._save_soon()

    def replace(self, old: Session, new: Session) -> None:
        """Note that a session goes on in a new connection to this node."""
        self._dirty.pop(old, None)
        kept = self.keys_of(new)
        for key in self.keys_of(old):
            if key in kept:
                self._by_key[key] = new
            else:
                self.end_key(key)
        self.change(new)

    def give_up(self, session: Session) -> None:
        """Note that a session is another node's by now."""
        self._dirty.pop(session, None)
        for key in self.keys_of(session):
            if self._by_key.get(key) is session:
                del self._by_key[key]
                self._generations.pop(key, None)

    def take(self, key: str, session: Session, generation: int) -> None:
        """Note that what is found by a key is this node's from now on, for a session."""
        before = self._by_key.get(key)
        self._by_key[key] = session
        self._generations[key] = generation
        if before is not None and before is not session:
            self._residents.lose(before)  # it went on elsewhere, and nobody said so

    async def put_back(self, key: str, parked: Parked) -> None:
        """Leave what was taken for a client that has gone meanwhile."""
        self._by_key.pop(key, None)
        generation = self._generations.pop(key, 0)
        try:
            await self._shelf.save(key, generation, saved.parked(parked), live=False)
        except EngineAwayError as error:
            logger.debug("a session can't be put back: %s", error)

    # Saving

    def _save_soon(self) -> None:
        if self._saving is None:
            self._saving = asyncio.create_task(self._save(), name="saves sessions")

    async def _save(self) -> None:
        try:
            while self._dirty or self._ended:
                # What changes meanwhile is saved together in the next round.
                self._recovered.clear()
                if not await self._save_once():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._recovered.wait(), RETRY_SECONDS)
        finally:
            self._saving = None

    async def _save_once(self) -> bool:
        """Save what has changed, after ending what is over; False: try again later."""
        if self._shelf.is_away:
            return False
        ended, self._ended = self._ended, {}
        self._under_way.update(ended)
        try:
            await asyncio.gather(*(self._end_one(key, number) for key, number in ended.items()))
        finally:
            self._under_way.difference_update(ended)
        dirty = list(self._dirty)[:TOGETHER]
        for session in dirty:
            del self._dirty[session]
        return all(await asyncio.gather(*(self._save_one(session) for session in dirty)))

    async def _end_one(self, key: str, generation: int) -> None:
        try:
            await self._shelf.end(key, generation)
        except EngineAwayError as error:
            logger.debug("a session isn't ended, its time runs out: %s", error)

    async def _save_one(self, session: Session) -> bool:
        try:
            await self._save_whole(session)
        except EngineAwayError as error:
            logger.debug("session not saved: %s", error, extra=session.fields())
            self._dirty.setdefault(session)
            return False
        except Exception:
            # One that can't be saved must not take the others with it.
            logger.exception("saving a session met a fault of ours", extra=session.fields())
        return True

    async def _save_whole(self, session: Session) -> None:
        live = self._residents.is_connected(session)
        if not (live or self._residents.is_parked(session)) or not self._residents.owns(session):
            return
        if self._is_sought(session):
            return  # another node may still have to save what its client left behind there
        if not session.subscription_count:
            self.end(session)
            return
        first, *others = self.keys_of(session)
        saves = {first: saved.session(session)}
        saves |= {key: saved.elsewhere(session.token) for key in others}
        for key, data in saves.items():
            self._by_key[key] = session
            self._under_way.add(key)
            try:
                known = self._generations.get(key, 0)
                generation = await self._shelf.save(key, known, data, live=live)
            finally:
                self._under_way.discard(key)
            self._note_saved(key, session, known, generation)

    def _note_saved(self, key: str, session: Session, known: int, generation: int) -> None:
        if generation and key not in self._by_key:
            self._ended[key] = generation  # meanwhile it was over
            self._save_soon()
        elif generation:
            self._generations[key] = generation
        elif self._by_key.get(key) is not session:
            return  # it goes on in another connection, which will be saved as well
        elif not known and self._residents.is_connected(session) and not session.token:
            # While Redis was away nobody could be looked for.
            del self._by_key[key]
            self._seek(session)
        else:
            logger.debug("session belongs to another node", extra=session.fields())
            del self._by_key[key]
            self._generations.pop(key, None)
            self._residents.lose(session)

    async def _touch(self) -> None:
        while True:
            await asyncio.sleep(TOUCH_SECONDS)
            keys = list(self._generations)
            for at in range(0, len(keys), TOGETHER):
                await self._touch_some(keys[at : at + TOGETHER])

    async def _touch_some(self, keys: list[str]) -> None:
        live = [
            (key, session, self._generations[key])
            for key in keys
            if (session := self._by_key.get(key)) is not None
            and self._residents.is_connected(session)
            and key in self._generations
        ]
        try:
            kept = await asyncio.gather(
                *(self._shelf.touch(key, generation) for key, _, generation in live)
            )
        except EngineAwayError:
            return
        # Redis has forgotten it, or another node has it: saving it shows which.
        for (_, session, _), well in zip(live, kept, strict=True):
            if not well:
                self.change(session)
