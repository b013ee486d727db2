"""Sessions that go on at another node: found by whoever asks for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from bookcast.background import Work
from bookcast.backplane.unreadable import UnreadableLog
from bookcast.engine.base import Prepare
from bookcast.engine.peers import Peers
from bookcast.engine.shelf import Shelf
from bookcast.errors import EngineAwayError
from bookcast.protocol.connection import Parked
from bookcast.sessions import saved
from bookcast.sessions.keeper import Keeper, Residents
from bookcast.sessions.session import Session

logger = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 1.0
"""So long a node has to say that a client of its is there; then another takes its session over."""

TRAVEL_SECONDS: Final = 0.2
"""How much longer whoever asks waits for that."""

SEEK_SECONDS: Final = 2.0
"""How soon what couldn't be looked for is looked for again: after other nodes have saved theirs.

Redis may have forgotten those; what it doesn't know so soon after it is back, it may know later.
"""


class _LiveElsewhereError(Exception):
    """The client of a session is connected at another node, the ``owner``."""

    def __init__(self, owner: str) -> None:
        super().__init__(owner)
        self.owner = owner


class Sessions(Residents, Protocol):
    """What it needs of the registry: the sessions of this node."""

    def enter_here(self, session: Session) -> None:
        """Let a client find what it left behind on this node."""

    def own(self, session: Session) -> None:
        """Let a client own its id, in place of whoever is parked under it."""

    def disown(self, session: Session) -> None:
        """Let a client not own its id: another node has one that does."""

    def note_duplicate(self, session: Session) -> None:
        """Note that a client uses the id of another that is there."""

    def note_resumed(self, session: Session) -> None:
        """Note that a client came back to what it had."""

    def challenge(self, session: Session, answered: Callable[[], None]) -> None:
        """Ask a client whether it is there."""


class Roaming:
    """Takes sessions of other nodes for clients that come here, and lets others take this node's.

    Args:
        shelf: where sessions are kept.
        peers: the other nodes, who may have clients connected.
        prepare: has what is known of topics at hand.
        unreadable: is told of sessions that can't be read.
    """

    def __init__(
        self, shelf: Shelf, peers: Peers, prepare: Prepare, *, unreadable: UnreadableLog
    ) -> None:
        self._unreadable = unreadable
        self._shelf = shelf
        self._peers = peers
        self._prepare = prepare
        self._sessions: Sessions
        # Who came while nobody could be asked for what they left behind.
        self._unsought: set[Session] = set()
        self._seeking: asyncio.TimerHandle | None = None
        self._settled_at = 0.0
        self._work = Work()
        self.keeper = Keeper(shelf, is_sought=self._unsought.__contains__, seek=self.enter)
        """Has this node's sessions where others find them."""
        peers.handlers["challenge"] = self._answer_challenge
        peers.handlers["taken"] = self._answer_taken

    def start(self, sessions: Sessions) -> None:
        """Begin, for the sessions of a registry."""
        self._sessions = sessions
        self.keeper.start(sessions)

    async def stop(self) -> None:
        """Save what isn't saved yet, and end."""
        if self._seeking is not None:
            self._seeking.cancel()
        await self._work.end()
        await self.keeper.stop()

    def recover(self) -> None:
        """Redis is back, and may have forgotten sessions: save them, and look for others' ones."""
        self.keeper.recover()
        self._settled_at = asyncio.get_running_loop().time() + SEEK_SECONDS
        self._seek_later()

    def end(self, session: Session) -> None:
        """Note that a session of this node is over."""
        self._unsought.discard(session)
        self.keeper.end(session)

    # Who comes

    def enter(self, session: Session) -> None:
        """Let a client find what it left behind, here or elsewhere. Meanwhile it is served."""
        session.expects = True
        self._work.begin(self._enter(session), "looks for a session")

    async def reclaim(self, token: str, session: Session) -> Parked | None:
        """Give what the session of a token saw, wherever it is; None: here, or nowhere.

        After that it is this node's, and can be taken by nobody else.

        Raises:
            EngineAwayError: when nobody can be asked for it.
        """
        key = self.keeper.token_key(session, token)
        found = await self._take(key, session, force=True)
        while isinstance(found, str):
            # It is found by the token of the connection before, too.
            current = self.keeper.token_key(session, found)
            found = await self._take(current, session, force=True)
            self.keeper.end_key(current)
        if found is None and self.keeper.kept(key) is None and self._is_settling():
            raise EngineAwayError("other nodes are still saving theirs")
        if found is None:
            return None
        await self._prepare(list(found))
        if not self._sessions.is_connected(session):
            await self.keeper.put_back(key, found)
            return None
        logger.debug("session resumed from another node", extra=session.fields())
        return found

    async def _enter(self, session: Session, *, again: bool = False) -> None:
        parked: Parked | None = None
        try:
            parked = await self._find(session)
        except EngineAwayError as error:
            logger.debug("session only looked for here: %s", error, extra=session.fields())
            if not again:
                self._enter_here(session)
            self._look_again(session)
        if not self._sessions.is_connected(session):
            if parked is not None:
                await self.keeper.put_back(self.keeper.keys_of(session)[0], parked)
            return
        if parked is not None:
            session.go_on_with(parked)
            session.expects = False
        self.keeper.change(session)
        session.has_entered()

    async def _find(self, session: Session) -> Parked | None:
        """Find what a client left behind at another node."""
        key = self.keeper.keys_of(session)[0]
        try:
            found = await self._take(key, session)
        except _LiveElsewhereError as live:
            patience = ANSWER_SECONDS + TRAVEL_SECONDS
            there = await self._peers.ask(live.owner, "challenge", key.encode(), patience)
            if there:
                session.expects = False
                self._sessions.disown(session)
                if self._sessions.is_connected(session):
                    self._sessions.note_duplicate(session)
                return None
            found = await self._take(key, session, force=True)
        if found is None or isinstance(found, str):  # ids don't move
            self._enter_here(session)
            if self._is_settling():
                self._look_again(session)
            return None
        if self._sessions.is_connected(session):
            self._sessions.own(session)
            self._sessions.note_resumed(session)
            logger.debug("session resumed from another node", extra=session.fields())
        await self._prepare(list(found))
        return found

    def _is_settling(self) -> bool:
        """Tell whether other nodes may still be saving what Redis has forgotten."""
        return asyncio.get_running_loop().time() < self._settled_at

    def _look_again(self, session: Session) -> None:
        """Look later for what a client left behind."""
        self._unsought.add(session)
        session.expects = True  # what it declines meanwhile, it isn't given later
        if self._seeking is None:
            self._seek_later()

    def _enter_here(self, session: Session) -> None:
        session.expects = False
        if self._sessions.is_connected(session):
            self._sessions.enter_here(session)

    async def _take(
        self, key: str, session: Session, *, force: bool = False
    ) -> Parked | str | None:
        """Take what was saved under a key for a client, or learn the token it is found by now.

        None: it is known here, or nowhere.

        Raises:
            EngineAwayError: when nobody can be asked for it.
            _LiveElsewhereError: when its client is connected at another node; not with ``force``.
        """
        claim = await self._shelf.claim(key, force=force)
        if claim.kind == "live":
            raise _LiveElsewhereError(claim.owner)
        known = self.keeper.kept(key)
        # What is this node's, and it doesn't know of: the answer of an earlier claim was lost.
        here = claim.kind == "mine" and (
            known not in {None, session} or self.keeper.is_changing(key)
        )
        if claim.kind == "none" or here:
            return None
        self.keeper.take(key, session, claim.generation)
        if claim.kind == "taken":
            await self._peers.tell(claim.owner, "taken", key.encode())
        try:
            return saved.read(claim.data)
        except msgspec.MsgspecError as error:
            # The client subscribes anew, as if its time had run out.
            self._unreadable.note(f"the session of client {session.client_id!r}", error)
            return None

    # Who came while Redis was away

    def _seek_later(self) -> None:
        if self._seeking is not None:
            self._seeking.cancel()
        self._seeking = asyncio.get_running_loop().call_later(SEEK_SECONDS, self._seek)

    def _seek(self) -> None:
        """Look once more for what clients left behind; who finds nobody to ask is noted again."""
        self._seeking = None
        if self._shelf.is_away:
            return  # recover will see to it
        unsought = tuple(self._unsought)
        self._unsought.clear()
        for session in unsought:
            if self._sessions.is_connected(session):
                self._work.begin(self._enter(session, again=True), "looks for a session")

    # What other nodes ask

    async def _answer_challenge(self, key: bytes) -> bytes:
        """Tell whether a client is there: it has to say so itself."""
        session = self.keeper.kept(key.decode())
        if session is None or not self._sessions.is_connected(session):
            return b""
        answered = asyncio.Event()
        self._sessions.challenge(session, answered.set)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await answered.wait()
        except TimeoutError:
            session.lose()  # nobody is there
            return b""
        return b"alive"

    async def _answer_taken(self, key: bytes) -> bytes:
        session = self.keeper.kept(key.decode())
        if session is not None:
            self._sessions.lose(session)
        return b""
