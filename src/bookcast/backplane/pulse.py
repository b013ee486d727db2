"""A node's pulse: it says that it lives, and learns by that whether Redis does, and hears it."""

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
"""What a node hears on its own channel with each of its pulses."""


class PulseTimes(Times, frozen=True, kw_only=True):
    """Of a node's pulse, in seconds.

    ``pulse``: the interval. ``deaf``: a node that hasn't heard its own for so long has lost its
    subscription. ``living``: one that has said nothing for so long is dead, and wants nothing.
    """

    LONGER: ClassVar = (("deaf", 2, "pulse"), ("living", 2, "pulse"))

    pulse: float = 1.0
    deaf: float = 3.0
    living: float = 3.5


class Pulse:
    """Sends a pulse at an interval; while Redis is away, as often as the breaker lets it look.

    Args:
        plane: the way to Redis.
        say: says once that the node lives. It returns False when Redis has forgotten the node.
        returned: called when Redis is back after it was away.
        forgotten: called when Redis has forgotten the node, or is another one.
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
        """Go on by itself from now on; the first pulse is somebody else's, see :meth:`beat`."""
        self.hear()
        self._beating.start()

    def hear(self) -> None:
        """Note that the node hears what Redis tells it."""
        self._heard_at = self._clock()

    def beat_soon(self) -> None:
        """Beat now rather than after the interval."""
        self._beating.trigger()

    async def close(self) -> None:
        """End."""
        await self._beating.close()

    async def beat(self) -> None:
        """Send one pulse, and act on what Redis answers."""
        try:
            known = await self._say()
        except EngineAwayError as error:
            logger.debug("no pulse: %s", error)
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
