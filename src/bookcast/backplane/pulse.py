"""A node's heartbeat to Redis. Its answer shows whether Redis is there and its messages arrive."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import ClassVar, Final

from bookcast.background import Periodic
from bookcast.backplane.base import Backplane
from bookcast.errors import EngineAwayError
from bookcast.timing import Times

logger = logging.getLogger(__name__)

PULSE: Final = b"pulse"
"""The message that each pulse sends to the node's own channel."""


class PulseTimes(Times, frozen=True, kw_only=True):
    """The intervals of a node's pulse, in seconds.

    Attributes:
        pulse: between two pulses.
        deaf: a node that hasn't received its own pulse for so long has lost its subscription.
        living: a node without a pulse for so long counts as dead, and its demand as ended.
    """

    LONGER: ClassVar = (("deaf", 2, "pulse"), ("living", 2, "pulse"))

    pulse: float = 1.0
    deaf: float = 3.0
    living: float = 3.5


class Pulse:
    """Sends a pulse at an interval. While Redis is away, the breaker sets the interval.

    Args:
        plane: the node's parts of the backplane.
        say: sends one pulse. It returns False when Redis has forgotten the node.
        times: the intervals.
        returned: called when Redis is back after it was away.
        forgotten: called when Redis has forgotten the node, or is another master.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        plane: Backplane,
        say: Callable[[], Awaitable[bool]],
        times: PulseTimes,
        *,
        returned: Callable[[], None],
        forgotten: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plane = plane
        self._say = say
        self._times = times
        self._returned = returned
        self._forgotten = forgotten
        self._clock = clock
        self._heard_at = clock()
        self._beating = Periodic(self._beat, self._wait, "pulse")

    def start(self) -> None:
        """Start the periodic pulses. The caller sends the first one with :meth:`beat`."""
        self.hear()
        self._beating.start()

    def hear(self) -> None:
        """Note that a message of Redis has arrived."""
        self._heard_at = self._clock()

    def beat_soon(self) -> None:
        """Send a pulse now rather than after the interval."""
        self._beating.trigger()

    async def close(self) -> None:
        """Stop."""
        await self._beating.close()

    async def beat(self) -> None:
        """Send one pulse, and act on Redis's answer."""
        try:
            known = await self._say()
        except EngineAwayError as error:
            logger.debug("the pulse failed: %s", error)
        except Exception:
            logger.exception("a pulse met a fault of ours")
        else:
            if self._plane.breaker.is_open:
                self._returned()
            elif not known:
                logger.warning("Redis has forgotten this node, or is another one")
                self._forgotten()

    def _wait(self) -> float:
        breaker = self._plane.breaker
        return breaker.wait() if breaker.is_open else self._times.pulse

    async def _beat(self) -> None:
        await self.beat()
        if self._plane.breaker.is_open or self._clock() - self._heard_at <= self._times.deaf:
            return
        self.hear()
        self._plane.subscriber.reconnect("its connection is dead: this node's pulse isn't heard")
