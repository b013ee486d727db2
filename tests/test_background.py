import asyncio

import pytest

from bookcast.background import BackgroundTasks, Coalescer, Periodic
from tests.support import eventually


async def test_a_fault_is_told_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits for the work, so the log has to tell."""
    work = BackgroundTasks()

    async def fail() -> None:
        raise ValueError("no good")

    work.begin(fail(), "looking")
    await eventually(lambda: "looking met a fault of ours" in caplog.text, "the fault")
    assert "no good" in caplog.text


async def test_all_of_it_ends_when_asked_to() -> None:
    """Also when that is asked from within it."""
    work, ended = BackgroundTasks(), []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("one")

    async def end() -> None:
        await work.end()
        ended.append("all")

    work.begin(wait(), "waiting")
    await asyncio.sleep(0)
    work.begin(end(), "ending")
    await eventually(lambda: ended == ["one", "all"], "the end of both")


class Counted:
    """A function that counts its runs, and may wait or fail in each."""

    def __init__(self) -> None:
        self.runs = 0
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.fails = False

    async def run(self) -> None:
        self.runs += 1
        await self.may_go_on.wait()
        if self.fails:
            raise ValueError("no good")


async def test_a_function_runs_again_and_again_until_it_is_closed() -> None:
    """Whether it returns something to wait for or not."""
    for function in (counted := Counted()).run, lambda: setattr(counted, "runs", counted.runs + 1):
        counted.runs = 0
        periodic = Periodic(function, 0.001, "looking")
        periodic.start()
        assert periodic.is_running
        await eventually(lambda: counted.runs >= 3, "three runs")
        await periodic.close()
        await periodic.close()
        assert not periodic.is_running
        runs = counted.runs
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert counted.runs == runs


@pytest.mark.parametrize(("seconds", "first"), [(1000.0, 0.001), (0.001, 1000.0)])
async def test_the_first_run_may_have_an_interval_of_its_own(seconds: float, first: float) -> None:
    """A trigger doesn't wait for it, either; the next run is after the usual one."""
    counted = Counted()
    periodic = Periodic(counted.run, seconds, "looking", first)
    periodic.start()
    if first < seconds:
        await eventually(lambda: counted.runs == 1, "the first run")
        await asyncio.sleep(0.01)
        assert counted.runs == 1
    else:
        await asyncio.sleep(0.01)
        assert counted.runs == 0
        periodic.trigger()
        await eventually(lambda: counted.runs >= 3, "others after it")
    await periodic.close()


async def test_a_trigger_doesnt_wait_for_the_interval() -> None:
    """Several make one run; one during a run makes another; one before the start counts."""
    counted = Counted()
    periodic = Periodic(counted.run, lambda: 1000.0, "looking")
    periodic.start()
    await asyncio.sleep(0)
    assert counted.runs == 0
    counted.may_go_on.clear()
    periodic.trigger()
    periodic.trigger()
    await eventually(lambda: counted.runs == 1, "a run")
    periodic.trigger()
    counted.may_go_on.set()
    await eventually(lambda: counted.runs == 2, "another")
    await periodic.close()
    periodic.trigger()
    periodic.start()
    await eventually(lambda: counted.runs == 3, "a run at the start")
    await periodic.close()


@pytest.mark.parametrize("kind", ["periodic", "coalescer"])
async def test_a_fault_doesnt_end_the_runs(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """The log tells of each."""
    counted = Counted()
    counted.fails = True
    periodic, coalescer = Periodic(counted.run, 0.001, "looking"), Coalescer(counted.run, "looking")
    if kind == "periodic":
        periodic.start()
        await eventually(lambda: counted.runs >= 2, "two runs")
    else:
        for number in (1, 2):
            coalescer.request()
            await eventually(lambda number=number: counted.runs == number, "a run")  # type: ignore[misc] # no type can be inferred for a lambda with a default
            await eventually(lambda: coalescer.is_idle, "its end")
    await periodic.close()
    assert caplog.text.count("looking met a fault of ours") >= 2


async def test_an_end_during_a_run_cancels_it() -> None:
    """Also one that comes from within; nothing hangs."""
    counted = Counted()
    counted.may_go_on.clear()
    periodic, coalescer = Periodic(counted.run, 0.0, "looking"), Coalescer(counted.run, "looking")
    periodic.start()
    coalescer.request()
    await eventually(lambda: counted.runs == 2, "both runs")
    await periodic.close()
    await coalescer.close()
    assert coalescer.is_idle

    closing = Periodic(lambda: closing.close(), 0.0, "closing")  # noqa: PLW0108 - it is made here
    closing.start()
    await eventually(lambda: not closing.is_running, "its end")


async def test_many_requests_make_one_run() -> None:
    """Those that come during the run make one more."""
    counted = Counted()
    counted.may_go_on.clear()
    coalescer = Coalescer(counted.run, "telling")
    for _ in range(5):
        coalescer.request()
    await eventually(lambda: counted.runs == 1, "a run")
    for _ in range(5):
        coalescer.request()
    assert not coalescer.is_idle
    counted.may_go_on.set()
    await eventually(lambda: coalescer.is_idle, "the end")
    assert counted.runs == 2
