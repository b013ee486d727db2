"""Which connection owns which session, so that a client finds what its lost connection left."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from bookcast.engine.base import Prepare
from bookcast.errors import CloseCode, EngineAwayError, InvalidInput
from bookcast.observability.counter import as_gauge, counter
from bookcast.observability.throttle import WarningThrottle
from bookcast.protocol.subscriptions import SavedSubscriptions
from bookcast.sessions.lost import LostSession
from bookcast.sessions.session import Session
from bookcast.sessions.store.base import ANY, Claim, Holder, SessionStore
from bookcast.sessions.times import SessionTimes

logger = logging.getLogger(__name__)

SOON_SECONDS: Final = 1.0
"""A client should retry after this time: then it may be known where its session is."""

MAX_LOST: Final = 50_000
"""Bound of the subscriptions in all lost sessions together; each costs about a kilobyte."""


class Members(Protocol):
    """The cluster's members, this node included."""

    handlers: dict[str, Callable[[bytes], Awaitable[bytes]]]

    async def ask(self, node: str, method: str, body: bytes, patience: float) -> bytes | None:
        """Send a node a request. Return None if it doesn't answer within ``patience`` seconds."""


class SessionOwnership:
    """Returns to each client the session it left behind, and never one session to two clients.

    A base client is found by its id. If the earlier connection under this id still answers a ping,
    both stay, and the newcomer begins with nothing. A ``bookcast.v1`` client presents a token, and
    the connection that had the session is closed. Both work alike whether the session was on this
    node or on another.

    The states of a session at this node:

    ========== ============================= ============ ======================================
    state      when                          next state   and
    ========== ============================= ============ ======================================
    new        its client is authenticated   seeking      the store is asked; the client is served
    seeking    no node has its key           owner        it is found by its key from now on
    seeking    there is a lost session       owner        it goes on with that session
    seeking    a client is connected         asking       that client's node is to ping it
    seeking    the store can't be reached    unsure owner looked for again, and only then saved
    asking     the other client answers      guest        counted as a duplicate id
    asking     the other client doesn't      seeking      its node has closed that connection
    owner      another node asks for it      challenged   its client is pinged
    challenged its client answers            owner        the asking node gets the answer
    challenged its client doesn't in time    lost         its connection is closed
    owner      its connection is lost        lost         it is kept, and its topics stay wanted
    owner      its client says goodbye       gone         nothing is found by its key
    owner      another connection takes it   guest, gone  a base client keeps its subscriptions
    guest      its connection is lost        lost, gone   lost if no session has the key by then
    lost       a connection claims it        gone         that connection goes on with it
    lost       its time is over, or no room  gone         its topics are no longer wanted
    any        its principal changes         seeking      it isn't found by the old key any more
    ========== ============================= ============ ======================================

    Args:
        store: where sessions are found.
        members: all nodes, this one included.
        begin: starts a background task.
        prepare: reads the logs of topics that this node doesn't follow yet.
        clock: monotonic seconds.
        ttl: seconds that a lost client's session is kept; 0: not at all.
        times: the intervals.
        max_lost: bound of the subscriptions in lost sessions; the oldest session makes room.
        max_per_address: bound of the lost sessions of one address; 0: no limit.
    """

    resumed = counter("bookcast_sessions_resumed", "Sessions that a client came back to")
    expired = counter("bookcast_sessions_expired", "Sessions that nobody came back to")
    duplicates = counter(
        "bookcast_duplicate_client_ids", "Clients that came under the id of another who was there"
    )

    def __init__(
        self,
        store: SessionStore,
        members: Members,
        *,
        begin: Callable[[Coroutine[Any, Any, object], str], None],
        prepare: Prepare,
        clock: Callable[[], float],
        ttl: float = 60.0,
        times: SessionTimes | None = None,
        max_lost: int = MAX_LOST,
        max_per_address: int = 0,
    ) -> None:
        self.store = store
        self._members = members
        self._begin = begin
        self._prepare = prepare
        self._clock = clock
        self._ttl = ttl
        self._times = times or SessionTimes()
        self._max_lost = max_lost
        self._max_per_address = max_per_address
        # Sessions whose clients were pinged. The result: True: the client answered, False: it is
        # gone.
        self._challenged: dict[Session, asyncio.Future[bool]] = {}
        # In the order in which they were lost, each with that time.
        self._lost: dict[LostSession, float] = {}
        self._lost_subscriptions = 0
        self._lost_of: dict[str, dict[LostSession, None]] = {}
        # Sessions that are being looked for; with what they left if their client was lost
        # meanwhile.
        self._seeking: dict[Session, LostSession | None] = {}
        # The keys that are being claimed now.
        self._turns: dict[str, asyncio.Event] = {}
        # Sessions to look for again, and when.
        self._unsure: set[Session] = set()
        self._seek_at = 0.0
        self._warnings = WarningThrottle(clock)
        members.handlers["challenge"] = self._answer_challenge

    def start(self) -> None:
        """Register with the store."""
        self.store.start(taken=self._on_taken, contested=self._on_contested)

    @property
    @as_gauge("bookcast_sessions_parked", "Sessions that wait")
    def lost(self) -> int:
        """Number of sessions that wait for their clients."""
        return len(self._lost)

    # Clients that come

    def enter(self, session: Session) -> None:
        """Look for what an authenticated client left behind."""
        principal, client_id = session.id
        if session.token:
            session.keys = (self.store.key("token", principal, session.token),)
            self.store.hold(session)
            session.has_entered()
            return
        session.keys = (self.store.key("id", principal, client_id),)
        self._seek(session)

    def withdraw(self, session: Session) -> None:
        """Release the session of a client whose principal has changed."""
        self._unsure.discard(session)
        self._seeking.pop(session, None)
        self._resolve_challenge(session, is_there=False)
        self.store.release(session)
        session.expects = False
        session.keys = ()

    def changed(self, session: Session) -> None:
        """Note that a client's subscriptions have changed."""
        self.store.changed(session)

    def _seek(self, seeker: Session | LostSession) -> None:
        """Claim the session of a base client's id, for a connection or for a lost session."""
        [key] = seeker.keys
        claim = self.store.claim(key, seeker) if key not in self._turns else None
        if isinstance(claim, Claim) and claim.state != "live" and isinstance(seeker, Session):
            self._arrive(seeker, claim)
            return
        if isinstance(seeker, Session):
            seeker.expects = True
            self._seeking[seeker] = None
        self._begin(self._find(seeker, key, claim), "looking for a session")

    async def _find(
        self, seeker: Session | LostSession, key: str, claim: Claim | Awaitable[Claim] | None
    ) -> None:
        """Look for a session, after earlier searches of this node for the same key."""
        async with self._turn(key):
            await self._find_in_turn(seeker, key, claim)

    @asynccontextmanager
    async def _turn(self, key: str) -> AsyncIterator[None]:
        """Wait until no other search of this node claims the key, and make later ones wait.

        Between a claim and the moment when its topics have been read, the session has no owner.
        Another claim at that moment would find a session without subscriptions.
        """
        while (before := self._turns.get(key)) is not None:
            await before.wait()
        done = self._turns[key] = asyncio.Event()
        try:
            yield
        finally:
            del self._turns[key]
            done.set()

    async def _find_in_turn(
        self, seeker: Session | LostSession, key: str, claim: Claim | Awaitable[Claim] | None
    ) -> None:
        """Claim the session. If its client is connected, wait for its answer, then claim again."""
        patience = self._times.answer + self._times.travel
        is_there: object = None
        found = Claim("free")
        try:
            found = await self._prepared(claim or self.store.claim(key, seeker))
            # Another newcomer may have claimed it first: then ask that one.
            while found.state == "live" and not is_there:
                is_there = await self._members.ask(found.owner, "challenge", key.encode(), patience)
                if not is_there:
                    found = await self._prepared(self.store.claim(key, seeker, mark=found.mark))
        except EngineAwayError as error:
            logger.debug("the session can't be looked for now: %s", error, extra=seeker.fields())
            found = Claim("free", doubt=str(error))
        if isinstance(seeker, LostSession):
            self._keep_found(key, found, seeker, seeker if seeker in self._lost else None)
            return
        if key not in seeker.keys:  # its principal has changed, so it looks for another key now
            self._keep_found(key, found, seeker, None)
            return
        says_goodbye = seeker not in self._seeking
        lost = self._seeking.pop(seeker, None)
        if says_goodbye:
            self._end_found(key, found, seeker)
        elif not seeker.is_connected:
            self._keep_found(key, found, seeker, lost)
        elif is_there:
            self.store.release(seeker)
            seeker.expects = False
            self._note_duplicate(seeker)
            seeker.has_entered()
        else:
            self._arrive(seeker, found)
        seeker.outbox.flush()

    async def _prepared(self, claim: Claim | Awaitable[Claim]) -> Claim:
        found = claim if isinstance(claim, Claim) else await claim
        if found.left is not None:
            await self._prepare(list(found.left.seen_topics))
        return found

    def _arrive(self, session: Session, found: Claim) -> None:
        """Make a connected client the owner of its key, and resume the session that was found."""
        self.store.hold(session, confirmed=not found.doubt)
        if found.left is not None:
            self.resumed += 1
            logger.debug("session resumed", extra=session.fields())
            self._drop(found.left)
            session.go_on_with(found.left.seen_topics)
            found.left.close()
        # If the search is repeated, topics that the client unsubscribes from meanwhile are left
        # out.
        session.expects = bool(found.doubt)
        if found.doubt:
            self._seek_again(session)
        session.has_entered()

    def _keep_found(
        self, key: str, found: Claim, seeker: Session | LostSession, lost: LostSession | None
    ) -> None:
        """Keep what was found for a client that was lost meanwhile, with what it left itself."""
        left = found.left
        if left is not None:
            left.address = left.address or seeker.address  # another node's record has no address
        if found.state == "live":  # another client is connected under the same id
            if lost is not None:
                self._drop(lost)
                lost.close()
        elif left is None and lost is None:
            if self.store.holder(key) is seeker:
                self._keep(LostSession((key,), {}))
        elif left is not None and lost is not None:
            declined = seeker.declined if isinstance(seeker, Session) else ()
            self._drop(left)
            self._drop(lost)
            self._keep(left.joined(lost, declined))
        else:
            self._keep(left or lost)  # type: ignore[arg-type] # one of them is there

    def _end_found(self, key: str, found: Claim, seeker: Session) -> None:
        """End the session that was found for a client that has said goodbye meanwhile."""
        if found.left is not None:
            self._drop(found.left)
            found.left.close()
        if self.store.holder(key) is seeker:
            self._keep(LostSession((key,), {}))

    def _note_duplicate(self, session: Session) -> None:
        self.duplicates += 1
        count = self._warnings.count()
        if count:
            logger.warning(
                "a client id is used by several connections at once; give each its own id, or "
                "none of them finds its subscriptions after a loss",
                extra={**session.fields(), "count": count},
            )

    def reclaim(
        self, token: str, session: Session, restore: Callable[[SavedSubscriptions], None]
    ) -> bool | Awaitable[bool]:
        """Resume the session of a token in a new connection, whichever node had it.

        Afterwards it is found by the new connection's token and by this one, since the answer may
        be lost. ``restore`` is called with what the client saw. Returns False if the principal has
        no such session.

        Raises:
            InvalidInput: if this node doesn't have it, and the other nodes can't be asked now.
        """
        key = self.store.key("token", session.id[0], token)
        if key in session.keys:
            return False
        claim = self.store.claim(key, session, mark=ANY) if key not in self._turns else None
        if isinstance(claim, Claim):  # this node follows its topics already
            return self._take_over(key, claim, session, restore)
        return self._reclaim_later(key, claim, session, restore)

    async def _reclaim_later(
        self,
        key: str,
        claim: Awaitable[Claim] | None,
        session: Session,
        restore: Callable[[SavedSubscriptions], None],
    ) -> bool:
        async with self._turn(key):
            found = await self._prepared(claim or self.store.claim(key, session, mark=ANY))
            return self._take_over(key, found, session, restore)

    def _take_over(
        self,
        key: str,
        found: Claim,
        session: Session,
        restore: Callable[[SavedSubscriptions], None],
    ) -> bool:
        if found.left is None:
            if not found.doubt:
                return False
            raise InvalidInput(
                "engine_unavailable",
                f"Sessions of other nodes can't be found now: {found.doubt}",
                retry_after=SOON_SECONDS,
            )
        if not session.is_connected:
            self._keep_found(key, found, session, None)
            return True
        self.store.release(session)
        session.keys = (session.keys[0], key)
        self.store.hold(session)
        self.resumed += 1
        logger.debug("session resumed", extra=session.fields())
        self._drop(found.left)
        restore(found.left.seen_topics)
        found.left.close()
        return True

    # Clients that go

    def leave(self, session: Session, *, delivered_before: float | None) -> None:
        """Note that a client is gone.

        ``delivered_before``: updates sent before this time have reached it, so that it may come
        back. None: the session ends.
        """
        self._unsure.discard(session)
        if delivered_before is not None and self._may_come_back(session):
            lost = session.leave_behind(delivered_before)
            if session in self._seeking:
                self._seeking[session] = lost  # kept together with the session that is found
            else:
                self._keep(lost)
            logger.debug("session kept for %g s", self._ttl, extra=session.fields())
        else:
            self._seeking.pop(session, None)
            self.store.release(session)
            session.close()
        self._resolve_challenge(session, is_there=False)

    def _may_come_back(self, session: Session) -> bool:
        if not self._ttl or not session.keys:
            return False
        if session in self._seeking:
            return True  # even without subscriptions: it may have declined some of that session
        holder = self.store.holder(session.keys[0])
        is_its = holder is session or (holder is None and not session.token)
        return is_its and session.subscription_count > 0

    def _keep(self, lost: LostSession) -> None:
        """Keep a lost session until its client is back, or its time is over."""
        if lost in self._lost:
            self.store.hold(lost)
            return
        if not lost.subscription_count:
            self.store.hold(lost)
            self.store.release(lost)
            return
        self._lost[lost] = self._clock()
        self._lost_subscriptions += lost.subscription_count
        self._lost_of.setdefault(lost.address, {})[lost] = None
        self.store.hold(lost)
        neighbours = self._lost_of[lost.address]
        if self._max_per_address and len(neighbours) > self._max_per_address:
            self._expire(next(iter(neighbours)))
        while self._lost_subscriptions > self._max_lost and len(self._lost) > 1:
            self._expire(next(iter(self._lost)))

    def _drop(self, lost: LostSession) -> None:
        """Remove a lost session from those that are kept."""
        if self._lost.pop(lost, None) is None:
            return
        self._lost_subscriptions -= lost.subscription_count
        neighbours = self._lost_of[lost.address]
        del neighbours[lost]
        if not neighbours:
            del self._lost_of[lost.address]

    def _expire(self, lost: LostSession) -> None:
        self._drop(lost)
        self.expired += 1
        logger.debug("session expired", extra=lost.fields())
        self.store.release(lost)
        lost.close()

    def _on_taken(self, holder: Holder) -> None:
        """Release a session that another connection has taken over."""
        if isinstance(holder, LostSession):
            self._drop(holder)
            holder.close()
        elif isinstance(holder, Session) and holder.token:
            holder.lose(CloseCode.TAKEN_OVER)
        # A base client keeps its subscriptions: now several clients share its id.

    def _on_contested(self, holder: Holder) -> None:
        """Claim the key of a holder that began during an outage: another node has its session."""
        assert isinstance(holder, Session | LostSession)
        self._seek(holder)

    # Whether a client is alive

    async def _answer_challenge(self, key: bytes) -> bytes:
        """Return whether the client of a key is alive. The client itself has to answer a ping.

        If it isn't, the other node claims the session next, so that is saved before the answer.
        """
        session = self.store.holder(key.decode())
        if (
            isinstance(session, Session)
            and session.is_connected
            and await self._answers_challenge(session)
        ):
            return b"alive"
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.store.wait_saved(key.decode()), self._times.answer)
        return b""

    async def _answers_challenge(self, session: Session) -> bool:
        answer = self._challenged.get(session)
        if answer is None:
            # One ping and one timer serve all nodes that ask: all get the same answer.
            loop = asyncio.get_running_loop()
            answer = self._challenged[session] = loop.create_future()
            loop.call_later(self._times.answer, self._time_out, session, answer)
            session.challenge()
        return await asyncio.shield(answer)

    def _time_out(self, session: Session, answer: asyncio.Future[bool]) -> None:
        if not answer.done():
            logger.debug("client didn't answer: its session goes on", extra=session.fields())
            session.lose()  # this also answers the challenge

    def answered(self, session: Session) -> None:
        """Note that a client answered the ping of a challenge."""
        self._resolve_challenge(session, is_there=True)

    def _resolve_challenge(self, session: Session, *, is_there: bool) -> None:
        answer = self._challenged.pop(session, None)
        if answer is not None and not answer.done():
            answer.set_result(is_there)

    # Periodic work

    def check(self, now: float) -> None:
        """End sessions whose time is over, and repeat searches that failed; monotonic seconds."""
        while self._lost:
            oldest = next(iter(self._lost))
            if now - self._lost[oldest] < self._ttl:
                break
            self._expire(oldest)
        if self._unsure and now >= self._seek_at and not self.store.is_away:
            unsure, self._unsure = self._unsure, set()
            for session in unsure:
                self._seek(session)

    def _seek_again(self, session: Session) -> None:
        if not self._unsure:
            self._seek_at = self._clock() + self._times.seek
        self._unsure.add(session)

    def recover(self) -> None:
        """Save all sessions, and look for those of other nodes: Redis is back."""
        self._seek_at = self._clock() + self._times.seek
        self.store.recover()

    async def stop(self) -> None:
        """Save what isn't saved yet, and end all lost sessions that this node keeps."""
        await self.store.stop()
        for lost in tuple(self._lost):
            self._drop(lost)
            lost.close()
