import asyncio
import time

from bookcast.client.clock import Clock
from tests.still_loop import StillLoop


def test_the_delay_doubles_up_to_a_cap_with_full_jitter() -> None:
    """However many attempts there were."""
    clock = Clock(StillLoop(lambda: 0.0), chance=lambda: 0.5)
    delays = [clock.backoff(attempt, 500, 20_000) for attempt in (0, 1, 2, 5, 6, 10_000)]
    assert delays == [250, 500, 1_000, 8_000, 10_000, 10_000]


async def test_a_timer_fires_once_unless_it_is_cancelled() -> None:
    """A time in the past is now."""
    clock = Clock(asyncio.get_running_loop())
    fired = asyncio.Event()
    clock.after(-5, fired.set)
    clock.after(0, lambda: 1 / 0).cancel()
    await fired.wait()
    assert abs(clock.now() - time.time() * 1000) < 60_000
