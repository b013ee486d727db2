"""All sessions of this node: who is connected, and who may come back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from bookcast.auth.principal import ANYONE, Principal
from bookcast.errors import CloseCode, EngineAwayError, InvalidInput
from bookcast.limits import RETRY_SECONDS, Seats, Seldom
from bookcast.observability.counter import as_gauge, counter
from bookcast.protocol.connection import Parked
from bookcast.sessions.roaming import Roaming
from bookcast.sessions.session import Session

logger = logging.getLogger(__name__)

CHALLENGE_SECONDS: Final = 1.5
"""How long a live client has to answer when another comes under its id."""

SOON_SECONDS: Final = 1.0
"""After so long it may be known where a session is."""

MAX_PARKED: Final = 50_000
"""Subscriptions of clients who are gone, together; each costs about a kilobyte."""

Id = tuple[str, str]
"""Whose session it is, and the client's id."""


class Challenge:
    """Asks a live client whether it is still there, since others came under its id."""

    def __init__(self, owner: Session) -> None:
        self.owner = owner
        self.newcomers: list[Session] = []


class Registry:
    """Who is connected, and whose subscriptions wait for them.

    Args:
        ttl: seconds that a lost client's session waits for it.
        clock: monotonic seconds.
        call_later: the event loop's timer.
        max_parked: so many subscriptions may wait; who has waited longest makes room.
        max_per_address: sessions of one address that may wait; 0: no limit.
        max_per_principal: connections of one principal; 0: no limit.
        roaming: keeps sessions where other nodes find them; None: there are no others.
    """

    too_slow = counter("bookcast_connections_too_slow", "Clients closed because they took no data")
    accepted = counter("bookcast_connections_accepted", "Handshakes accepted")
    refused = counter("bookcast_handshakes_refused", "Handshakes refused")
    received = counter("bookcast_messages_received", "Messages of clients")
    resumed = counter("bookcast_sessions_resumed", "Sessions that a client came back to")
    expired = counter("bookcast_sessions_expired", "Sessions that nobody came back to")
    duplicates = counter(
        "bookcast_duplicate_client_ids", "Clients that came under the id of another who was there"
    )

    def __init__(
        self,
        *,
        ttl: float = 60.0,
        clock: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], object],
        max_parked: int = MAX_PARKED,
        max_per_address: int = 0,
        max_per_principal: int = 0,
        roaming: Roaming | None = None,
    ) -> None:
        self._roaming = roaming
        self._ttl = ttl
        self._clock = clock
        self._call_later = call_later
        self._max_parked = max_parked
        self._max_per_address = max_per_address
        self._principals = Seats(max_per_principal)
        self._sessions: set[Session] = set()
        # Of base clients by their id: who owns it, live or parked. Of others by their token.
        self._owners: dict[Id, Session] = {}
        self._tokens: dict[str, Session] = {}
        self._challenges: dict[Id, Challenge] = {}
        # By whom other nodes are told that a client is there.
        self._asked: dict[Session, list[Callable[[], None]]] = {}
        # In the order in which they were lost, with when that was.
        self._parked: dict[Session, float] = {}
        self._parked_subscriptions = 0
        self._parked_of: dict[str, dict[Session, None]] = {}
        self._duplicate_warnings = Seldom(clock)

    def check_room(self, principal: Principal) -> None:
        """Let a principal have one more connection.

        Raises:
            InvalidInput: when it has enough.
        """
        limit = self._principals.limit
        if limit and principal.kind != ANYONE and self._principals.count(principal.id) >= limit:
            raise InvalidInput(
                "too_many_connections",
                f"{principal.name} has {limit} connections already, "
                "MAX_CONNECTIONS_PER_PRINCIPAL; close one first",
                retry_after=RETRY_SECONDS,
            )

    def add(self, session: Session) -> None:
        """Note a client that was accepted."""
        self._sessions.add(session)
        self.accepted += 1
        session.number = self.accepted
        if session.principal is not None:
            self._principals.take(session.principal.id, beyond=1)

    def identify(self, session: Session, principal: Principal) -> None:
        """Take note of who a client is.

        Raises:
            InvalidInput: when that principal has connections enough.
        """
        before = session.principal
        if before is not None and before.id == principal.id:
            return
        self.check_room(principal)
        self._principals.take(principal.id, beyond=1)
        if before is not None:
            self._principals.leave(before.id)
            self._withdraw(session)

    def enter(self, session: Session) -> None:
        """Let a client, now that it is known who it is, find what it left behind."""
        if session.token:
            self._tokens[session.token] = session
            session.has_entered()
        elif self._roaming is not None:
            self._roaming.enter(session)
        else:
            self.enter_here(session)
            session.has_entered()

    def enter_here(self, session: Session) -> None:
        """Let a client find what it left behind on this node.

        If another is there under its id, that one is asked whether it still is: if so, both live
        on; if not, the newcomer gets what it had.
        """
        owner = self._owners.get(session.id)
        if owner is None or owner is session:
            self._owners[session.id] = session
        elif owner in self._parked:
            self._hand_over(owner, session)
        else:
            self._challenge(owner, session)

    def leave(self, session: Session, *, until: float | None) -> None:
        """Note a client that is gone; ``until``: what it was sent before it surely has.

        None: it doesn't come back.
        """
        self._sessions.discard(session)
        self._asked.pop(session, None)
        if session.principal is not None:
            self._principals.leave(session.principal.id)
        if until is not None and self._may_park(session):
            session.park(until)
            self._park(session)
            self.changed(session)
            logger.debug("session parked for %g s", self._ttl, extra=session.fields())
            self._make_room(session)
            self._end_challenge(session)
        else:
            self._forget(session)

    def answered(self, session: Session) -> None:
        """Note that a client that was asked whether it is there is."""
        for answered in self._asked.pop(session, ()):
            answered()
        challenge = self._challenges.pop(session.id, None)
        if challenge is not None:
            self._let_both_live(challenge)

    async def reclaim(
        self, token: str, session: Session, restore: Callable[[Parked], None]
    ) -> bool:
        """Let the session of a token go on in a new connection, wherever it was.

        It is found by that one's token, and by the one it was asked for with: the answer may get
        lost.

        Raises:
            InvalidInput: when it isn't here, and other nodes' sessions can't be found now.
        """
        if token in session.tokens:
            return False
        old = self._tokens.get(token)
        known = old is not None and old is not session and old.id[0] == session.id[0]
        parked = await self._taken_from_others(token, session, known=known)
        if parked is not None:
            if session in self._sessions:
                self._resume(token, session)
                restore(parked)
                self.changed(session)
            return True
        old = self._tokens.get(token)  # it may have ended meanwhile
        if old is None or old is session or old.id[0] != session.id[0]:
            return False
        if session not in self._sessions:
            return True
        if old not in self._parked:
            old.lose(CloseCode.TAKEN_OVER)
        self._unpark(old)
        for earlier in old.tokens:
            self._tokens.pop(earlier, None)
        self._resume(token, session)
        if self._roaming is not None:
            self._roaming.keeper.replace(old, session)
        restore(old.left_behind())
        old.close()
        return True

    async def _taken_from_others(
        self, token: str, session: Session, *, known: bool
    ) -> Parked | None:
        if self._roaming is None:
            return None
        try:
            return await self._roaming.reclaim(token, session)
        except EngineAwayError as error:
            if known:
                return None  # as far as this node can tell, it is still here
            raise InvalidInput(
                "engine_unavailable",
                f"Sessions of other nodes can't be found now: {error}",
                retry_after=SOON_SECONDS,
            ) from None

    def _resume(self, token: str, session: Session) -> None:
        session.tokens = (session.token, token)
        self._tokens[token] = session
        self.resumed += 1

    def changed(self, session: Session) -> None:
        """Note that a client sees something else than before."""
        if self._roaming is not None:
            self._roaming.keeper.change(session)

    @as_gauge("bookcast_connections", "Clients connected")
    def __len__(self) -> int:
        return len(self._sessions)

    @property
    @as_gauge("bookcast_sessions_parked", "Sessions that wait")
    def parked(self) -> int:
        """How many sessions wait for their clients."""
        return len(self._parked)

    def check(self, now: float) -> None:
        """End the sessions that are stuck or past their time; monotonic seconds."""
        for session in tuple(self._sessions):
            try:
                session.check(now)
            except Exception:
                logger.exception("a check met a fault of ours", extra=session.fields())
        while self._parked:
            oldest = next(iter(self._parked))
            if now - self._parked[oldest] < self._ttl:
                break
            self._expire(oldest)

    def sessions(self) -> list[Session]:
        """List those of the clients who are connected."""
        return list(self._sessions)

    @as_gauge("bookcast_connections_held", "Clients that can't take data now")
    def held(self) -> list[Session]:
        """List the sessions that can't take data now."""
        return [session for session in self._sessions if not session.outbox.writable]

    @as_gauge("bookcast_subscriptions", "Subscriptions of all clients")
    def subscription_count(self) -> int:
        """Count the subscriptions of all who are connected."""
        return sum(session.subscription_count for session in self._sessions)

    # What roams

    def is_connected(self, session: Session) -> bool:
        """Tell whether a client is still there."""
        return session in self._sessions

    def is_parked(self, session: Session) -> bool:
        """Tell whether a session waits for its client."""
        return session in self._parked

    def owns(self, session: Session) -> bool:
        """Tell whether a session is the one that is found by its id or token."""
        return bool(session.token) or self._owners.get(session.id) is session

    def own(self, session: Session) -> None:
        """Let a client own its id, in place of whoever is parked under it."""
        self._owners[session.id] = session

    def disown(self, session: Session) -> None:
        """Let a client not own its id: another node has one that does."""
        if self._owners.get(session.id) is session:
            del self._owners[session.id]

    def lose(self, session: Session) -> None:
        """Let a session go that another node has taken."""
        assert self._roaming is not None
        self._roaming.keeper.give_up(session)
        if session in self._sessions and session.token:
            session.lose(CloseCode.TAKEN_OVER)
        elif session in self._sessions:
            self.disown(session)  # it keeps what it sees, as one of several under an id
        if session in self._parked:
            self._roaming.keeper.give_up(session)
            self._unpark(session)
            self._forget(session)

    def note_resumed(self, session: Session) -> None:  # noqa: ARG002 - whoever it is, it counts
        """Note that a client came back to what it had on another node."""
        self.resumed += 1

    def challenge(self, session: Session, answered: Callable[[], None]) -> None:
        """Ask a client whether it is there, for another node."""
        self._asked.setdefault(session, []).append(answered)
        session.challenge()

    def clear(self) -> None:
        """Forget all who may come back: the server ends."""
        for session in tuple(self._parked):
            self._unpark(session)
            session.close()
        self._owners.clear()
        self._tokens.clear()

    # Coming back

    def _may_park(self, session: Session) -> bool:
        if not self._ttl or not session.subscription_count:
            return False
        return bool(session.token) or self._owners.setdefault(session.id, session) is session

    def _park(self, session: Session) -> None:
        self._parked[session] = self._clock()
        self._parked_subscriptions += session.subscription_count
        self._parked_of.setdefault(session.address, {})[session] = None

    def _unpark(self, session: Session) -> None:
        if self._parked.pop(session, None) is None:
            return
        self._parked_subscriptions -= session.subscription_count
        neighbours = self._parked_of[session.address]
        del neighbours[session]
        if not neighbours:
            del self._parked_of[session.address]

    def _make_room(self, newest: Session) -> None:
        """Let those who have waited longest go, where too many wait."""
        neighbours = self._parked_of[newest.address]
        if self._max_per_address and len(neighbours) > self._max_per_address:
            self._expire(next(iter(neighbours)))
        while self._parked_subscriptions > self._max_parked and len(self._parked) > 1:
            self._expire(next(iter(self._parked)))

    def _withdraw(self, session: Session) -> None:
        """Let go of the id under which a client came that is now known as somebody else."""
        if self._owners.get(session.id) is session:
            del self._owners[session.id]
        challenge = self._challenges.get(session.id)
        if challenge is not None and session in challenge.newcomers:
            challenge.newcomers.remove(session)
            session.expects = False
        self._end_challenge(session)

    def _hand_over(self, old: Session, new: Session) -> None:
        self._unpark(old)
        self._owners[new.id] = new
        if self._roaming is not None:
            self._roaming.keeper.replace(old, new)
        self.resumed += 1
        logger.debug("session resumed", extra=new.fields())
        new.adopt(old)

    def _challenge(self, owner: Session, newcomer: Session) -> None:
        challenge = self._challenges.get(owner.id)
        if challenge is None:
            challenge = self._challenges[owner.id] = Challenge(owner)
            owner.challenge()
            self._call_later(CHALLENGE_SECONDS, lambda: self._give_up(challenge))
        newcomer.expects = True
        challenge.newcomers.append(newcomer)

    def _give_up(self, challenge: Challenge) -> None:
        owner = challenge.owner
        if self._challenges.get(owner.id) is challenge:
            logger.debug("client didn't answer: its session goes on", extra=owner.fields())
            owner.lose()  # which settles the challenge

    def _settle(self, challenge: Challenge) -> None:
        """Give what the owner had to the first who came under its id and is still there."""
        waiting = [one for one in challenge.newcomers if one in self._sessions]
        for newcomer in waiting:
            if challenge.owner in self._parked:
                self._hand_over(challenge.owner, newcomer)
            elif self._owners.setdefault(newcomer.id, newcomer) is not newcomer:
                self.note_duplicate(newcomer)
            newcomer.expects = False

    def _let_both_live(self, challenge: Challenge) -> None:
        for newcomer in challenge.newcomers:
            newcomer.expects = False
            if newcomer in self._sessions:
                self.note_duplicate(newcomer)

    def note_duplicate(self, session: Session) -> None:
        """Note that a client uses the id of another that is there."""
        self.duplicates += 1
        count = self._duplicate_warnings.count()
        if count:
            logger.warning(
                "a client id is used by several connections at once; give each its own, or none "
                "of them finds its subscriptions after a loss",
                extra={**session.fields(), "count": count},
            )

    def _expire(self, session: Session) -> None:
        self._unpark(session)
        self.expired += 1
        logger.debug("session expired", extra=session.fields())
        self._forget(session)

    def _forget(self, session: Session) -> None:
        for token in session.tokens:
            if self._tokens.get(token) is session:
                del self._tokens[token]
        if self._owners.get(session.id) is session:
            del self._owners[session.id]
        if self._roaming is not None:
            self._roaming.end(session)
        session.close()
        self._end_challenge(session)

    def _end_challenge(self, owner: Session) -> None:
        challenge = self._challenges.get(owner.id)
        if challenge is not None and challenge.owner is owner:
            del self._challenges[owner.id]
            self._settle(challenge)
