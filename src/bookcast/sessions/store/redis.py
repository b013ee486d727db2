"""The session store of several nodes: sessions in memory, written to Redis in the background."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec

from bookcast.backplane.unreadable_log import UnreadableLog
from bookcast.errors import EngineAwayError
from bookcast.sessions.lost import LostSession
from bookcast.sessions.store import records
from bookcast.sessions.store.base import ANY, Claim, Claimant, Holder, Kind
from bookcast.sessions.store.memory import MemorySessionStore
from bookcast.sessions.store.persister import SessionPersister
from bookcast.sessions.store.records import Record, SessionRecords
from bookcast.sessions.times import SessionTimes

logger = logging.getLogger(__name__)

Handler = Callable[[bytes], Awaitable[bytes]]


class Members(Protocol):
    """The cluster's members, as the store needs them."""

    id: str
    handlers: dict[str, Handler]

    async def tell(self, node: str, method: str, body: bytes) -> None:
        """Send a node a message, without waiting for an answer."""


class RedisSessionStore(MemorySessionStore):
    """Finds sessions in Redis first, then among those of this node that Redis doesn't have.

    So no session is lost by an outage, or in the moment before it is saved.

    Args:
        store: the records in Redis.
        members: the other nodes; a node is notified when its session is taken.
        unreadable: counts and logs records that can't be read.
        times: the intervals.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: SessionRecords,
        members: Members,
        *,
        unreadable: UnreadableLog,
        times: SessionTimes,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(members.id)
        self._records = store
        self._members = members
        self._unreadable = unreadable
        self._times = times
        self._clock = clock
        self._unsure: set[Holder] = set()
        # Until this time other nodes may still be saving sessions that Redis has lost.
        self._all_saved_at = -math.inf
        self.persister = SessionPersister(
            store, self._holders, unsure=self._unsure, refused=self._on_refused, times=times
        )
        """Saves the sessions that change."""
        members.handlers["taken"] = self._answer_taken

    def start(
        self, *, taken: Callable[[Holder], None], contested: Callable[[Holder], None]
    ) -> None:
        """Begin."""
        super().start(taken=taken, contested=contested)
        self.persister.start()

    async def stop(self) -> None:
        """Save what isn't saved yet, and end."""
        await self.persister.stop()

    def recover(self) -> None:
        """Save all sessions: Redis is back, and may have lost them."""
        self._all_saved_at = self._clock() + self._times.seek
        self.persister.recover()

    async def wait_saved(self, key: str) -> None:
        """Wait until Redis has the newest state of a key's session."""
        await self.persister.wait_saved(key)

    @property
    def is_away(self) -> bool:
        """Whether Redis is away."""
        return self._records.is_away

    def key(self, kind: Kind, principal: str, name: str) -> str:
        """Return the key of an id or token, as Redis has it."""
        return self._records.key(kind, principal, name)

    def hold(self, holder: Holder, *, confirmed: bool = True) -> None:
        """Register a holder under its keys; save it unless another node may have the session."""
        # The earlier holders of these keys are neither saved nor released any more.
        self._unsure.difference_update(
            before for key in holder.keys if (before := self._holders.get(key)) is not None
        )
        super().hold(holder)
        if not confirmed:
            self._unsure.add(holder)
            return
        self._unsure.discard(holder)
        self.persister.save(holder)

    def _drop(self, holder: Holder, *, but: str = "") -> None:
        self._unsure.discard(holder)
        super()._drop(holder, but=but)

    def _let_go(self, key: str) -> None:
        super()._let_go(key)
        self.persister.end(key)

    def changed(self, holder: Holder) -> None:
        """Save a holder whose subscriptions have changed."""
        self.persister.save(holder)

    def claim(self, key: str, by: Claimant, *, mark: object = None) -> Claim | Awaitable[Claim]:
        """Take over a session: in Redis; while Redis is away, only from this node."""
        if self.is_away:
            return self._claim_here(key, by, mark, doubt=self._records.trouble)
        return self._claim(key, by, mark)

    async def _claim(self, key: str, by: Claimant, mark: object) -> Claim:
        try:
            record = await self._records.claim(key, mark=mark)
        except EngineAwayError as error:
            logger.debug("a session is looked for at this node only: %s", error, extra=by.fields())
            return self._claim_here(key, by, mark, doubt=str(error))
        known = self._holders.get(key)
        if record.kind == "live":
            return Claim("live", owner=record.owner, mark=record.generation)
        if record.kind == "none":
            # Nodes with sessions save them first; a base client without one looks a moment later.
            looks_later = not by.subscription_count and mark is not ANY
            all_saved_at = self._all_saved_at + (self._times.seek if looks_later else 0)
            is_all_saved = self._clock() >= all_saved_at
            doubt = "" if is_all_saved else "other nodes are still saving theirs"
            return self._claim_here(key, by, mark, doubt=doubt)
        if record.kind == "mine" and (known not in {None, by} or self.persister.is_changing(key)):
            return self._claim_here(key, by, mark)
        # Redis says that this node has it, but it doesn't: the answer to an earlier claim was lost.
        return await self._take(key, by, record)

    def _claim_here(self, key: str, by: Claimant, mark: object, *, doubt: str = "") -> Claim:
        claim = super().claim(key, by, mark=mark)
        assert isinstance(claim, Claim)  # in memory nothing waits
        return claim._replace(doubt=doubt)

    async def _take(self, key: str, by: Claimant, record: Record) -> Claim:
        """Go on with the session of another node."""
        before = self._holders.get(key)
        self._holders[key] = by
        self.persister.take(key, record.generation)
        if before is not None and before is not by:  # another node took it without notice
            self._give_up(key, before)
        if record.kind == "taken":
            await self._members.tell(record.owner, "taken", key.encode())
        try:
            seen = records.read(record.data)
        except msgspec.MsgspecError as error:
            # The client subscribes anew, as if its session had expired.
            self._unreadable.note(f"the session of {by.fields().get('client_id')!r}", error)
            self._lose(key, by)
            return Claim("free")
        if isinstance(seen, str):
            claim = await self._follow(seen, by)
            if claim.left is not None:
                claim.left.keys = (key,)  # if the client is lost again, it uses the same token
            else:
                self._lose(key, by)
            return claim
        return Claim("left", left=LostSession((key,), seen, fields=by.fields()))

    async def _follow(self, token: str, by: Claimant) -> Claim:
        """Claim the session under the token of a later connection."""
        current = self.key("token", by.id[0], token)
        claim = await self._claim(current, by, ANY)
        # The client knows its new token and the one that it came with; nobody uses this key.
        if self._holders.get(current) is by:
            self._let_go(current)
        return claim

    def _give_up(self, taken: str, holder: Holder) -> None:
        """Release a session that another node has taken by one of its keys."""
        # The node that took it by another key follows to the first key, whose record is whole.
        for key in (taken, holder.keys[0]):
            self._lose(key, holder)
        self._drop(holder)
        self._taken(holder)

    def _lose(self, key: str, holder: Holder) -> None:
        """Remove a holder from a key, and leave the record in Redis to its new owner."""
        if self._holders.get(key) is holder:
            del self._holders[key]
            self.persister.give_up(key)

    def _on_refused(self, key: str, holder: Holder, known: bool) -> None:  # noqa: FBT001 - a callback
        if not known and not holder.token:
            # While Redis was away, the client's earlier session couldn't be looked for.
            del self._holders[key]
            self._contested(holder)
        else:
            logger.debug("session belongs to another node", extra=holder.fields())
            self._give_up(key, holder)

    async def _answer_taken(self, key: bytes) -> bytes:
        holder = self._holders.get(key.decode())
        if holder is not None:
            self._give_up(key.decode(), holder)
        return b""
