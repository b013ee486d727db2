"""What a node of several stands on: Redis, and what happens when that goes away and comes back."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence

import msgspec

from bookcast.backend.base import Backend
from bookcast.background import BackgroundTasks
from bookcast.backplane.base import Backplane
from bookcast.backplane.breaker import Breaker, BreakerTimes
from bookcast.backplane.link import Link, LinkSettings
from bookcast.backplane.pulse import PulseTimes
from bookcast.backplane.subscriber import Subscriber
from bookcast.backplane.unreadable import UnreadableLog
from bookcast.cluster.base import Cluster
from bookcast.cluster.demand.redis import DemandTimes, RedisDemand
from bookcast.cluster.election.redis import ElectionTimes, RedisElection
from bookcast.cluster.feed_status.redis import RedisFeedStatus
from bookcast.cluster.members.base import Node
from bookcast.cluster.members.redis import RedisMembers
from bookcast.engine.redis.engine import RedisEngine, RedisRules
from bookcast.engine.redis.times import EngineTimes
from bookcast.model.updates import Update
from bookcast.sessions.store.base import SessionStore
from bookcast.sessions.store.memory import MemorySessionStore
from bookcast.sessions.store.records import SessionRecords
from bookcast.sessions.store.redis import RedisSessionStore
from bookcast.sessions.times import SessionTimes

logger = logging.getLogger(__name__)


class RedisTimes(msgspec.Struct, frozen=True):
    """The intervals of all that stands on Redis."""

    breaker: BreakerTimes = BreakerTimes()
    pulse: PulseTimes = PulseTimes()
    demand: DemandTimes = DemandTimes()
    election: ElectionTimes = ElectionTimes()
    engine: EngineTimes = EngineTimes()
    sessions: SessionTimes = SessionTimes()


class RedisBackend(Backend):
    """Makes the Redis twins of a node, which share one link, one subscription and one breaker.

    Args:
        settings: where Redis is.
        myself: what this node says of itself.
        rules: what holds for its engine.
        session_ttl: seconds that a session waits for its client.
        times: how often things are done.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        settings: LinkSettings,
        *,
        myself: Callable[[], Node],
        rules: RedisRules,
        session_ttl: float = 60.0,
        times: RedisTimes | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        times = times or RedisTimes()
        breaker = Breaker(time.monotonic, random.random, self._go_away, times.breaker)
        link = Link(settings, breaker)
        subscriber = Subscriber(link, self._hear_again)
        plane = self._plane = Backplane(link, subscriber, breaker, UnreadableLog())
        self._members = RedisMembers(
            plane, myself, times.pulse, returned=self._return, forgotten=self._reconcile
        )
        self._demand = RedisDemand(plane, self._members, times.demand, living=times.pulse.living)
        self._feed_status = RedisFeedStatus(plane)
        self._election = RedisElection(plane, self._members.id, times.election)
        self.cluster = Cluster(
            members=self._members,
            election=self._election,
            demand=self._demand,
            feed_status=self._feed_status,
            unreadable=plane.unreadable,
        )
        self.engine: RedisEngine = RedisEngine(
            plane,
            self._members,
            rules=rules,
            times=times.engine,
            patience=settings.timeout,
            clock=clock,
        )
        self.sessions: SessionStore
        if session_ttl:
            self.sessions = RedisSessionStore(
                SessionRecords(link, self._members.id, session_ttl, times.sessions.live),
                self._members,
                unreadable=plane.unreadable,
                times=times.sessions,
                clock=time.monotonic,
            )
        else:  # nobody comes back: no other node has to know of them
            self.sessions = MemorySessionStore(self._members.id)
        self._work = BackgroundTasks()
        self._on_away: Callable[[], None] = lambda: None
        self._on_return: Callable[[], None] = lambda: None

    def attach(
        self, *, away: Callable[[], None], returned: Callable[[], None] = lambda: None
    ) -> None:
        """Connect who has to know that Redis is away, and that it is back."""
        self._on_away, self._on_return = away, returned

    @property
    def is_reached(self) -> bool:
        """Whether Redis has answered a pulse of this node."""
        return bool(self._plane.link.redis)

    async def start(self) -> None:
        """Begin; when Redis can't be reached, without it."""
        await self._members.pulse.beat()
        await self.engine.start()
        self._plane.subscriber.start()
        self._members.pulse.start()

    async def renew(self, url: str) -> None:
        """Log in at Redis with what another address says, from the next connection on.

        Raises:
            SettingError: when Redis refuses it; then nothing has changed.
        """
        await self._plane.link.renew(url)

    async def stop(self) -> None:
        """End: what this node wanted counts no more."""
        await self._election.resign()
        await self._plane.subscriber.close()  # what is heard begins work
        await self._work.end()
        await self.engine.stop()
        await self._demand.close()
        await self._feed_status.close()
        await self._members.close()
        await self._plane.link.close()

    # Redis away, and back

    def _go_away(self, reason: str) -> None:
        """Go on without Redis."""
        logger.warning("%s: this node goes on by itself", reason)
        self.engine.begin_outage()
        asyncio.get_running_loop().call_soon(self._on_away)

    def _return(self) -> None:
        """Go on with Redis. The election hears first of it: whoever ran the feed has precedence."""
        left = self.engine.end_outage()
        self._election.note_away()  # also where it was away for less than a look at the lock
        self._plane.breaker.succeed()
        logger.warning("Redis is back")
        self._reconcile(left)

    def _reconcile(self, left: Sequence[tuple[Update, bool]] = ()) -> None:
        """Make this node and Redis, which may have forgotten everything, agree again.

        This is the order:

        1. The newest states that were published here meanwhile become the newest in Redis.
        2. What this node wants, what its feed says and its sessions are told anew.
        3. Once the states are there, all logs are read again. Earlier, what Redis has would be
           older than what clients have seen.
        4. An audit finds what Redis has lost beside.
        """
        handed_in = self.engine.republish(left, self._election.fence)
        self._demand.tell_anew()
        self._feed_status.begin()
        self._on_return()
        self._work.begin(self.engine.catch_up(handed_in), "catches up")

    def _hear_again(self) -> None:
        """All channels are subscribed anew: read what may have been said meanwhile."""
        self._members.pulse.hear()
        self._feed_status.read_soon()
        self._demand.tell_anew()
        self.engine.read_again()
