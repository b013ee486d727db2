import asyncio

import pytest

from bookcast.background import Work
from tests.support import eventually


async def test_a_fault_is_told_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody waits for the work, so the log has to tell."""
    work = Work()

    async def fail() -> None:
        raise ValueError("no good")

    work.begin(fail(), "looking")
    await eventually(lambda: "looking met a fault of ours" in caplog.text, "the fault")
    assert "no good" in caplog.text


async def test_all_of_it_ends_when_asked_to() -> None:
    """Also when that is asked from within it."""
    work, ended = Work(), []

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
