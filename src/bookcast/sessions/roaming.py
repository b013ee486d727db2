"""Sessions that go on at another node: saved as they change, and found by whoever asks for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from bookcast.engine.base import EngineAwayError
from bookcast.engine.keys import session_key
from bookcast.engine.peers import Peers
from bookcast.engine.shelf import LIVE_SECONDS, Shelf
from bookcast.engine.work import Work
from bookcast.hub.view import ViewSpec
from bookcast.model import Position, Topic, Update
from bookcast.protocol.connection import Parked
from bookcast.sessions.base import Prepare
from bookcast.sessions.session import Session

logger = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 1.0
"""So long a node has to say that a client of its is there; then another takes its session over."""

STOP_SECONDS: Final = 2.0
"""How long the end of a node waits until its sessions are saved."""

TRAVEL_SECONDS: Final = 0.2
"""How much longer whoever asks waits for that."""

TOGETHER: Final = 500
"""So many sessions are saved or touched together; then others have their turn."""

TOUCH_SECONDS: Final = LIVE_SECONDS / 3
"""How often sessions of connected clients are kept for longer."""

RETRY_SECONDS: Final = 1.0
"""How soon what couldn't be saved is saved again."""

SEEK_SECONDS: Final = 1.5
"""How soon what couldn't be looked for is looked for again: after other nodes have saved theirs."""


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


class _LiveElsewhereError(Exception):
    """The client of a session is connected at another node, the ``owner``."""

    def __init__(self, owner: str) -> None:
        super().__init__(owner)
        self.owner = owner


class Sessions(Protocol):
    """What it needs of the registry: the sessions of this node."""

    def enter_here(self, session: Session) -> None:
        """Let a client find what it left behind on this node."""

    def own(self, session: Session) -> None:
        """Let a client own its id, in place of whoever is parked under it."""

    def disown(self, session: Session) -> None:
        """Let a client not own its id: another node has one that does."""

    def is_connected(self, session: Session) -> bool:
        """Tell whether a client is still there."""

    def is_parked(self, session: Session) -> bool:
        """Tell whether a session waits for its client."""

    def owns(self, session: Session) -> bool:
        """Tell whether a session is the one that is found by its id."""

    def lose(self, session: Session) -> None:
        """Let a session go that another node has taken."""

    def note_duplicate(self, session: Session) -> None:
        """Note that a client uses the id of another that is there."""

    def note_resumed(self, session: Session) -> None:
        """Note that a client came back to what it had."""

    def challenge(self, session: Session, answered: Callable[[], None]) -> None:
        """Ask a client whether it is there."""


class Roaming:
    """Keeps this node's sessions on the shelf, and takes those of others from it.

    Args:
        shelf: where sessions are kept.
        peers: the other nodes, who may have clients connected.
        prepare: has what is known of topics at hand.
    """

    def __init__(self, shelf: Shelf, peers: Peers, prepare: Prepare) -> None:
        self._shelf = shelf
        self._peers = peers
        self._prepare = prepare
        self._sessions: Sessions
        self._generations: dict[str, int] = {}
        # Whose sessions they are, for as long as this node has them.
        self._by_key: dict[str, Session] = {}
        self._dirty: dict[Session, None] = {}
        self._ended: dict[str, int] = {}
        # What is being saved or ended at this moment: it isn't as Redis says.
        self._under_way: set[str] = set()
        # Who came while nobody could be asked for what they left behind.
        self._unsought: set[Session] = set()
        self._seeking: asyncio.TimerHandle | None = None
        self._saving: asyncio.Task[None] | None = None
        self._touching: asyncio.Task[None] | None = None
        self._work = Work()
        peers.handlers["challenge"] = self._answer_challenge
        peers.handlers["taken"] = self._answer_taken

    def start(self, sessions: Sessions) -> None:
        """Begin, for the sessions of a registry."""
        self._sessions = sessions
        self._touching = asyncio.create_task(self._touch(), name="touches sessions")

    async def stop(self) -> None:
        """Save what isn't saved yet, and end."""
        if self._touching is not None:
            self._touching.cancel()
        if self._seeking is not None:
            self._seeking.cancel()
        await self._work.end()
        if self._saving is not None and not self._shelf.is_away:
            await asyncio.wait([self._saving], timeout=STOP_SECONDS)
        if self._saving is not None:  # Redis is away, or slow
            self._saving.cancel()
            await asyncio.wait([self._saving])

    def recover(self) -> None:
        """Redis is back, and may have forgotten sessions: save them, and look for others' ones."""
        self._dirty.update(dict.fromkeys(self._by_key.values()))
        self._save_soon()
        self._seek_later()

    def _seek_later(self) -> None:
        if self._seeking is not None:
            self._seeking.cancel()
        self._seeking = asyncio.get_running_loop().call_later(SEEK_SECONDS, self._seek)

    def _seek(self) -> None:
        """Look once more for what clients left behind; who finds nobody to ask is noted again."""
        self._seeking = None
        if self._shelf.is_away:
            return  # recover will see to it
        unsought, self._unsought = self._unsought, set()
        for session in unsought:
            if self._sessions.is_connected(session):
                self._work.begin(self._enter(session, again=True), "looks for a session")

    # What becomes of this node's sessions

    def change(self, session: Session) -> None:
        """Note that a session sees something else than before, or is parked."""
        self._dirty[session] = None
        self._save_soon()

    def end(self, session: Session) -> None:
        """Note that a session is over."""
        self._unsought.discard(session)
        self._forget(session)

    def _forget(self, session: Session) -> None:
        self._dirty.pop(session, None)
        for key in _keys(session):
            if self._by_key.get(key) is session:
                del self._by_key[key]
                generation = self._generations.pop(key, 0)
                if generation:
                    self._ended[key] = generation
                    self._save_soon()

    def replace(self, old: Session, new: Session) -> None:
        """Note that a session goes on in a new connection to this node."""
        self._dirty.pop(old, None)
        kept = _keys(new)
        for key in _keys(old):
            if key in kept:
                self._by_key[key] = new
            elif self._by_key.pop(key, None) is not None:
                self._ended[key] = self._generations.pop(key, 0)
        self.change(new)

    def give_up(self, session: Session) -> None:
        """Note that a session is another node's by now."""
        self._dirty.pop(session, None)
        for key in _keys(session):
            if self._by_key.get(key) is session:
                del self._by_key[key]
                self._generations.pop(key, None)

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
        key = _token_key(session, token)
        data = await self._take(key, session, force=True)
        while data is not None and (newer := _decode.decode(data).elsewhere):
            # It is found by the token of the connection before, too.
            current = _token_key(session, newer)
            data = await self._take(current, session, force=True)
            self._by_key.pop(current, None)
            if data is not None:
                self._ended[current] = self._generations.pop(current, 0)
        if data is None:
            return None
        parked = _parked(_decode.decode(data))
        await self._prepare(list(parked))
        if not self._sessions.is_connected(session):
            await self._put_back(key, parked)
            return None
        logger.info("client %r is back, from another node", session.client_id)
        return parked

    async def _enter(self, session: Session, *, again: bool = False) -> None:
        parked: Parked | None = None
        try:
            parked = await self._find(session)
        except EngineAwayError as error:
            logger.debug("client %r: only looked for here: %s", session.client_id, error)
            self._unsought.add(session)
            if self._seeking is None:
                self._seek_later()
            if not again:
                self._enter_here(session)
                session.expects = True  # what it declines meanwhile, it isn't given later
        if not self._sessions.is_connected(session):
            if parked is not None:
                await self._put_back(_keys(session)[0], parked)
            return
        if parked is not None:
            session.go_on_with(parked)
            session.expects = False
        self.change(session)
        session.has_entered()

    async def _find(self, session: Session) -> Parked | None:
        """Find what a client left behind at another node."""
        key = _keys(session)[0]
        try:
            data = await self._take(key, session)
        except _LiveElsewhereError as live:
            patience = ANSWER_SECONDS + TRAVEL_SECONDS
            there = await self._peers.ask(live.owner, "challenge", key.encode(), patience)
            if there:
                session.expects = False
                self._sessions.disown(session)
                if self._sessions.is_connected(session):
                    self._sessions.note_duplicate(session)
                return None
            data = await self._take(key, session, force=True)
        if data is None:
            self._enter_here(session)
            return None
        if self._sessions.is_connected(session):
            self._sessions.own(session)
            self._sessions.note_resumed(session)
            logger.info("client %r is back, from another node", session.client_id)
        parked = _parked(_decode.decode(data))
        await self._prepare(list(parked))
        return parked

    def _enter_here(self, session: Session) -> None:
        session.expects = False
        if self._sessions.is_connected(session):
            self._sessions.enter_here(session)

    async def _take(self, key: str, session: Session, *, force: bool = False) -> bytes | None:
        """Take what was saved under a key for a client; None: it is known here, or nowhere.

        Raises:
            EngineAwayError: when nobody can be asked for it.
            _LiveElsewhereError: when its client is connected at another node; not with ``force``.
        """
        claim = await self._shelf.claim(key, force=force)
        if claim.kind == "live":
            raise _LiveElsewhereError(claim.owner)
        known = self._by_key.get(key)
        # What is this node's, and it doesn't know of: the answer of an earlier claim was lost.
        changes = key in self._ended or key in self._under_way
        here = claim.kind == "mine" and (known not in {None, session} or changes)
        if claim.kind == "none" or here:
            return None
        self._by_key[key] = session
        self._generations[key] = claim.generation
        if known is not None and known is not session:
            self._sessions.lose(known)  # it went on elsewhere, and nobody said so
        if claim.kind == "taken":
            await self._peers.tell(claim.owner, "taken", key.encode())
        return claim.data

    async def _put_back(self, key: str, parked: Parked) -> None:
        """Leave what was taken for a client that has gone meanwhile."""
        self._by_key.pop(key, None)
        generation = self._generations.pop(key, 0)
        seen = [_seen(topic, spec, last) for topic, (spec, last) in parked.items()]
        try:
            await self._shelf.save(key, generation, _encode(_Saved(tuple(seen))), live=False)
        except EngineAwayError as error:
            logger.debug("a session can't be put back: %s", error)

    # What other nodes ask

    async def _answer_challenge(self, key: bytes) -> bytes:
        """Tell whether a client is there: it has to say so itself."""
        session = self._by_key.get(key.decode())
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
        session = self._by_key.get(key.decode())
        if session is not None:
            self._sessions.lose(session)
        return b""

    # Saving

    def _save_soon(self) -> None:
        if self._saving is None:
            self._saving = asyncio.create_task(self._save(), name="saves sessions")

    async def _save(self) -> None:
        try:
            while self._dirty or self._ended:
                # What changes meanwhile is saved together in the next round.
                if not await self._save_once():
                    await asyncio.sleep(RETRY_SECONDS)
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

    async def _save_one(self, session: Session) -> bool:
        try:
            return await self._save_whole(session)
        except EngineAwayError as error:
            logger.debug("client %r: its session isn't saved: %s", session.client_id, error)
            self._dirty.setdefault(session)
            return False
        except Exception:
            # One that can't be saved must not take the others with it.
            logger.exception("saving client %r met a fault of ours", session.client_id)
            return True

    async def _save_whole(self, session: Session) -> bool:
        live = self._sessions.is_connected(session)
        if not (live or self._sessions.is_parked(session)) or not self._sessions.owns(session):
            return True
        if session in self._unsought:
            return True  # another node may still have to save what its client left behind there
        if not session.subscription_count:
            self._forget(session)
            return True
        first, *others = _keys(session)
        seen = [_seen(topic, spec, last) for topic, (spec, last) in session.seen().items()]
        saves = {first: _Saved(tuple(seen))}
        saves |= {key: _Saved(elsewhere=session.token) for key in others}
        for key, saved in saves.items():
            self._by_key[key] = session
            self._under_way.add(key)
            try:
                known = self._generations.get(key, 0)
                generation = await self._shelf.save(key, known, _encode(saved), live=live)
            finally:
                self._under_way.discard(key)
            self._note_saved(key, session, known, generation)
        return True

    def _note_saved(self, key: str, session: Session, known: int, generation: int) -> None:
        if generation and key not in self._by_key:
            self._ended[key] = generation  # meanwhile it was over
            self._save_soon()
        elif generation:
            self._generations[key] = generation
        elif self._by_key.get(key) is not session:
            return  # it goes on in another connection, which will be saved as well
        elif not known and self._sessions.is_connected(session) and not session.token:
            # While Redis was away nobody could be looked for.
            del self._by_key[key]
            self.enter(session)
        else:
            self._lose(key, session)

    async def _end_one(self, key: str, generation: int) -> bool:
        try:
            await self._shelf.end(key, generation)
        except EngineAwayError:
            return True  # its time runs out by itself
        return True

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
            and self._sessions.is_connected(session)
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

    def _lose(self, key: str, session: Session) -> None:
        logger.debug("client %r: its session is another node's", session.client_id)
        del self._by_key[key]
        self._generations.pop(key, None)
        self._sessions.lose(session)


def _keys(session: Session) -> list[str]:
    """Give what a session is found by: its id, or its tokens, its own first."""
    principal, client_id = session.id
    if not session.tokens:
        return [session_key("id", principal, client_id)]
    return [session_key("token", principal, token) for token in session.tokens]


def _token_key(session: Session, token: str) -> str:
    return session_key("token", session.id[0], token)


def _seen(topic: Topic, spec: ViewSpec, last: Update | Position | None) -> _Seen:
    return _Seen(
        topic,
        spec.spelling,
        spec.depth,
        spec.delta,
        spec.interval_ms,
        spec.every,
        last.position if isinstance(last, Update) else last,
    )


def _parked(saved: _Saved) -> Parked:
    return {
        one.topic: (
            ViewSpec("", one.spelling, one.depth, one.delta, one.interval_ms, every=one.every),
            one.position,
        )
        for one in saved.seen
    }
