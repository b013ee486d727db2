"""Which connection has which session: how clients find again what they left behind."""

from __future__ import annotations

import asyncio
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
"""After so long it may be known where a session is."""

MAX_LOST: Final = 50_000
"""Subscriptions of clients who are gone, together; each costs about a kilobyte."""


class Members(Protocol):
    """What it needs of the cluster's members: this node too can be asked."""

    handlers: dict[str, Callable[[bytes], Awaitable[bytes]]]

    async def ask(self, node: str, method: str, body: bytes, patience: float) -> bytes | None:
        """Ask a node; None when it doesn't answer within so many seconds, or can't."""


class SessionOwnership:
    """Returns to each client the session that it left behind, and to no two the same.

    A base client is found by its id: if the one before it still answers a ping, both live on and
    the newcomer begins with nothing. A ``bookcast.v1`` client shows a token, and the connection
    that had it is closed. Where the session was, on this node or another, makes no difference.

    What becomes of a session at this node:

    ========== ============================= ============ ======================================
    it is      when                          it becomes   and
    ========== ============================= ============ ======================================
    new        its client says who it is     seeking      the store is asked; the client is served
    seeking    nobody has its key            owner        it is found by its key from now on
    seeking    somebody has left it          owner        it goes on with that
    seeking    a client is connected         asking       that one's node is to ping it
    seeking    nobody can be asked           unsure owner it is looked for again, saved only then
    asking     that one answers              guest        counted as a duplicate id
    asking     that one doesn't              seeking      its node has closed that connection
    owner      its node is asked for it      challenged   it is pinged
    challenged it answers                    owner        whoever asked is told
    challenged it doesn't in time            lost         its connection is closed
    owner      its connection is lost        lost         it is kept, and its topics wanted
    owner      it says goodbye               gone         nothing is found by its key
    owner      another connection takes it   guest, gone  a base client keeps what it sees
    guest      its connection is lost        lost, gone   lost if nobody has the key by then
    lost       somebody claims it            gone         that one goes on with it
    lost       its time is over, or no room  gone         its topics aren't wanted any more
    any        its client is somebody else   seeking      it isn't found by the old key any more
    ========== ============================= ============ ======================================

    Args:
        store: where sessions are found.
        members: all nodes, this one too.
        begin: does something in the background.
        prepare: has what is known of topics at hand.
        clock: monotonic seconds.
        ttl: seconds that a lost client's session is kept; 0: not at all.
        times: the intervals.
        max_lost: so many subscriptions of lost clients are kept; who was lost first makes room.
        max_per_address: so many lost sessions of one address are kept; 0: no limit.
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
        # Who is asked whether its client is there: told True when it is, False when it is gone.
        self._challenged: dict[Session, asyncio.Future[bool]] = {}
        # In the order in which they were lost, with when that was.
        self._lost: dict[LostSession, float] = {}
        self._lost_subscriptions = 0
        self._lost_of: dict[str, dict[LostSession, None]] = {}
        # Whose session is being looked for, and what they left when they were lost meanwhile.
        self._seeking: dict[Session, LostSession | None] = {}
        # Which keys are being claimed at this moment.
        self._turns: dict[str, asyncio.Event] = {}
        # Who is to be looked for again, and when.
        self._unsure: set[Session] = set()
        self._seek_at = 0.0
        self._warnings = WarningThrottle(clock)
        members.handlers["challenge"] = self._answer_challenge

    def start(self) -> None:
        """Begin."""
        self.store.start(taken=self._on_taken, contested=self._on_contested)

    @property
    @as_gauge("bookcast_sessions_parked", "Sessions that wait")
    def lost(self) -> int:
        """How many sessions wait for their clients."""
        return len(self._lost)

    # Who comes

    def enter(self, session: Session) -> None:
        """Look for what a client left behind, now that it is known who it is."""
        principal, client_id = session.id
        if session.token:
            session.keys = (self.store.key("token", principal, session.token),)
            self.store.hold(session)
            session.has_entered()
            return
        session.keys = (self.store.key("id", principal, client_id),)
        self._seek(session)

    def withdraw(self, session: Session) -> None:
        """Release the session of a client that is somebody else from now on."""
        self._unsure.discard(session)
        self._seeking.pop(session, None)
        self._settle(session, is_there=False)
        self.store.release(session)
        session.expects = False
        session.keys = ()

    def changed(self, session: Session) -> None:
        """Take note that a client sees something else than before."""
        self.store.changed(session)

    def _seek(self, seeker: Session | LostSession) -> None:
        """Claim the session of a base client's id, for its connection or what that left."""
        [key] = seeker.keys
        claim = self.store.claim(key, seeker) if key not in self._turns else None
        if isinstance(claim, Claim) and claim.state != "live" and isinstance(seeker, Session):
            self._arrive(seeker, claim)
            return
        if isinstance(seeker, Session):
            seeker.expects = True
            self._seeking[seeker] = None
        self._begin(self._find(seeker, key, claim), "looks for a session")

    async def _find(
        self, seeker: Session | LostSession, key: str, claim: Claim | Awaitable[Claim] | None
    ) -> None:
        """Look for a session, after those of this node who began before."""
        async with self._turn(key):
            await self._find_in_turn(seeker, key, claim)

    @asynccontextmanager
    async def _turn(self, key: str) -> AsyncIterator[None]:
        """Wait until nobody else of this node is claiming a session, and let others wait.

        What one has claimed is nobody's until its topics are at hand: another claim meanwhile would
        find a session of this node that sees nothing.
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
        """Claim it; where a client is connected, wait for its answer, and claim once more."""
        patience = self._times.answer + self._times.travel
        is_there: object = None
        found = Claim("free")
        try:
            found = await self._prepared(claim or self.store.claim(key, seeker))
            # Another newcomer may have been faster: then that one is asked.
            while found.state == "live" and not is_there:
                is_there = await self._members.ask(found.owner, "challenge", key.encode(), patience)
                if not is_there:
                    found = await self._prepared(self.store.claim(key, seeker, mark=found.mark))
        except EngineAwayError as error:
            logger.debug("nobody can be asked for a session: %s", error, extra=seeker.fields())
            found = Claim("free", doubt=str(error))
        if isinstance(seeker, LostSession):
            self._keep_found(key, found, seeker, seeker if seeker in self._lost else None)
            return
        if key not in seeker.keys:  # it is somebody else by now, who is looked for elsewhere
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
        """Make a connected client the owner of its key, and resume what was found."""
        self.store.hold(session, confirmed=not found.doubt)
        if found.left is not None:
            self.resumed += 1
            logger.debug("session resumed", extra=session.fields())
            self._drop(found.left)
            session.go_on_with(found.left.seen_topics)
            found.left.close()
        # What it declines before it is looked for again, it isn't given later.
        session.expects = bool(found.doubt)
        if found.doubt:
            self._seek_again(session)
        session.has_entered()

    def _keep_found(
        self, key: str, found: Claim, seeker: Session | LostSession, lost: LostSession | None
    ) -> None:
        """Keep what was found for a client that has gone meanwhile, with what it left itself."""
        left = found.left
        if left is not None:
            left.address = left.address or seeker.address  # another node doesn't say from where
        if found.state == "live":  # it was one of several under an id
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
        """End what was found for a client that has said goodbye meanwhile."""
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
                "a client id is used by several connections at once; give each its own, or none "
                "of them finds its subscriptions after a loss",
                extra={**session.fields(), "count": count},
            )

    def reclaim(
        self, token: str, session: Session, restore: Callable[[SavedSubscriptions], None]
    ) -> bool | Awaitable[bool]:
        """Resume the session of a token in a new connection, wherever it was.

        It is found by that one's token, and by the one it was asked for with: the answer may get
        lost. ``restore`` is given what it saw. Returns False if that principal has no such session.

        Raises:
            InvalidInput: when it isn't here, and other nodes' sessions can't be found now.
        """
        key = self.store.key("token", session.id[0], token)
        if key in session.keys:
            return False
        claim = self.store.claim(key, session, mark=ANY) if key not in self._turns else None
        if isinstance(claim, Claim):  # its topics are at hand here
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

    # Who goes

    def leave(self, session: Session, *, delivered_before: float | None) -> None:
        """Note that a client is gone. Updates sent before ``delivered_before`` have reached it.

        None: it doesn't come back.
        """
        self._unsure.discard(session)
        if delivered_before is not None and self._may_come_back(session):
            lost = session.leave_behind(delivered_before)
            if session in self._seeking:
                self._seeking[session] = lost  # it is kept together with what is found
            else:
                self._keep(lost)
            logger.debug("session kept for %g s", self._ttl, extra=session.fields())
        else:
            self._seeking.pop(session, None)
            self.store.release(session)
            session.close()
        self._settle(session, is_there=False)

    def _may_come_back(self, session: Session) -> bool:
        if not self._ttl or not session.keys:
            return False
        if session in self._seeking:
            return True  # also for what it gave up of what is being looked for
        holder = self.store.holder(session.keys[0])
        is_its = holder is session or (holder is None and not session.token)
        return is_its and session.subscription_count > 0

    def _keep(self, lost: LostSession) -> None:
        """Keep a session until its client is back, or its time is over."""
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
        """Keep a session no longer."""
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
        """Release a session that another connection goes on with."""
        if isinstance(holder, LostSession):
            self._drop(holder)
            holder.close()
        elif isinstance(holder, Session) and holder.token:
            holder.lose(CloseCode.TAKEN_OVER)
        # A base client keeps what it sees, as one of several under its id.

    def _on_contested(self, holder: Holder) -> None:
        """Look for the session that another node has of a key that was held here meanwhile."""
        assert isinstance(holder, Session | LostSession)
        self._seek(holder)

    # Is a client there?

    async def _answer_challenge(self, key: bytes) -> bytes:
        """Return whether the client of a key is there: it has to say so itself."""
        session = self.store.holder(key.decode())
        if not isinstance(session, Session) or not session.is_connected:
            return b""
        answer = self._challenged.get(session)
        if answer is None:
            # One timer for all who ask: the first of them is the first to hear the answer.
            loop = asyncio.get_running_loop()
            answer = self._challenged[session] = loop.create_future()
            loop.call_later(self._times.answer, self._give_up, session, answer)
            session.challenge()
        return b"alive" if await asyncio.shield(answer) else b""

    def _give_up(self, session: Session, answer: asyncio.Future[bool]) -> None:
        if not answer.done():
            logger.debug("client didn't answer: its session goes on", extra=session.fields())
            session.lose()  # which settles the challenge

    def answered(self, session: Session) -> None:
        """Take note that a client that was asked whether it is there is."""
        self._settle(session, is_there=True)

    def _settle(self, session: Session, *, is_there: bool) -> None:
        answer = self._challenged.pop(session, None)
        if answer is not None and not answer.done():
            answer.set_result(is_there)

    # Again and again

    def check(self, now: float) -> None:
        """End what is past its time, and look again for what couldn't be; monotonic seconds."""
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
        """Redis is back, and may have forgotten sessions: save them, and look for others' ones."""
        self._seek_at = self._clock() + self._times.seek
        self.store.recover()

    async def stop(self) -> None:
        """Save what isn't saved yet, and end: what is kept here is kept no longer."""
        await self.store.stop()
        for lost in tuple(self._lost):
            self._drop(lost)
            lost.close()
