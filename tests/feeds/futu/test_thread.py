import asyncio
import threading

import pytest

from bookcast.feeds.futu.thread import VendorThread


async def test_a_call_runs_elsewhere_and_gives_its_result() -> None:
    """One after the other, always on the same daemon thread."""
    thread = VendorThread(asyncio.get_running_loop())
    threads = [await thread.call(threading.current_thread) for _ in range(2)]
    assert threads[0] is threads[1]
    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon
    assert await thread.call(lambda: divmod(7, 2)) == (3, 1)
    thread.stop()


async def test_what_a_call_raises_is_raised_to_its_caller() -> None:
    """And the thread goes on."""
    thread = VendorThread(asyncio.get_running_loop())
    with pytest.raises(ZeroDivisionError):
        await thread.call(lambda: 1 // 0)
    assert await thread.call(lambda: int("5")) == 5
    thread.stop()


async def test_a_call_that_nobody_waits_for_any_more_harms_nobody() -> None:
    """Its result is dropped."""
    thread = VendorThread(asyncio.get_running_loop())
    gate = threading.Event()
    task = asyncio.create_task(thread.call(gate.wait))
    await asyncio.sleep(0)
    task.cancel()
    gate.set()
    assert await thread.call(lambda: int("5")) == 5
    thread.stop()
