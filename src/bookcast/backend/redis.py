"""The backend of several nodes: Redis, and what happens when it goes away and comes back."""

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
from bookcast.backplane.unreadable_log import UnreadableLog
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
    """The intervals of all parts that use Redis."""

    breaker: BreakerTimes = BreakerTimes()
    pulse: PulseTimes = PulseTimes()
    demand: DemandTimes = DemandTimes()
    election: ElectionTimes = ElectionTimes()
    engine: EngineTimes = EngineTimes()
    sessions: SessionTimes = SessionTimes()


class RedisBackend(Backend):
    """Makes a node's Redis twins, which share one link, one subscription and one breaker.

    Args:
        settings: how to reach Redis.
        myself: returns the description of this node.
        rules: rules of the engine.
        session_ttl: seconds that a lost client's session is kept.
        times: the intervals.
        clock: returns seconds since 1970.
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
        else:  # no session is kept, so other nodes need not know of them
            self.sessions = MemorySessionStore(self._members.id)
        self._work = BackgroundTasks()
        self._on_away: Callable[[], None] = lambda: None
        self._on_return: Callable[[], None] = lambda: None

    def attach(
        self, *, away: Callable[[], None], returned: Callable[[], None] = lambda: None
    ) -> None:
        """Set the functions to call when Redis is away, and when it is back."""
        self._on_away, self._on_return = away, returned

    @property
    def is_reached(self) -> bool:
        """Whether Redis has answered a pulse of this node."""
        return bool(self._plane.link.redis)

    async def start(self) -> None:
        """Start; without Redis if it can't be reached."""
        await self._members.pulse.beat()
        await self.engine.start()
        self._plane.subscriber.start()
        self._members.pulse.start()

    async def renew(self, url: str) -> None:
        """Log in to Redis with the password of another URL, from the next connection on.

        Raises:
            SettingError: Redis refuses the password; then nothing has changed.
        """
        await self._plane.link.renew(url)

    async def stop(self) -> None:
        """Stop, and withdraw this node's demand."""
        await self._election.resign()
        await self._plane.subscriber.close()  # first, because its messages start background tasks
        await self._work.end()
        await self.engine.stop()
        await self._demand.close()
        await self._feed_status.close()
        await self._members.close()
        await self._plane.link.close()

    # Redis away, and back

    def _go_away(self, reason: str) -> None:
        """Go on without Redis."""
        logger.warning("%s: this node goes on without Redis", reason)
        self.engine.begin_outage()
        asyncio.get_running_loop().call_soon(self._on_away)

    def _return(self) -> None:
        """Go on with Redis. Notify the election first: the former leader has precedence."""
        left = self.engine.end_outage()
        self._election.note_away()  # even if Redis was away for less than a check of the lock
        self._plane.breaker.succeed()
        logger.warning("Redis is back")
        self._reconcile(left)

    def _reconcile(self, left: Sequence[tuple[Update, bool]] = ()) -> None:
        """Make this node and Redis agree again; Redis may have lost all its data.

        The order:

        1. The newest states that were published at this node meanwhile become the newest in Redis.
        2. Demand, feed status and sessions of this node are written again. 3. When Redis has the
        states, all logs are read again. Before that, Redis's data would be older than what clients
        have seen. 4. An audit finds what else Redis has lost.
        """
        republished = self.engine.republish(left, self._election.fence)
        self._demand.tell_anew()
        self._feed_status.begin()
        self._on_return()
        self._work.begin(self.engine.catch_up(republished), "catching up with Redis")

    def _hear_again(self) -> None:
        """All channels have been subscribed again: read what was published meanwhile."""
        self._members.pulse.hear()
        self._feed_status.read_soon()
        self._demand.tell_anew()
        self.engine.read_again()
