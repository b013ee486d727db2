import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bookcast.errors import StartupError
from bookcast.feeds.futu import vendor
from tests.fakes.opend import Controller
from tests.feeds.futu.conftest import RunFeed
from tests.support import PATIENCE, eventually

IMPORT_AND_RUN = """
import asyncio, os, signal, sys
from bookcast.feeds.futu import FutuFeed
assert "futu" not in sys.modules
before = signal.getsignal(signal.SIGINT), os.environ.get("HOME")

async def publish(_): pass

async def main():
    feed = FutuFeed(publish, host="127.0.0.1", port=int(sys.argv[1]))
    task = asyncio.create_task(feed.run())
    while feed.status().state != "connected":
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])

asyncio.run(main())
assert "futu" in sys.modules
assert (signal.getsignal(signal.SIGINT), os.environ.get("HOME")) == before
"""


@pytest.mark.parametrize("with_home", [True, False])
def test_the_vendor_touches_neither_home_nor_signals_nor_output(
    opend: Controller, tmp_path: Path, with_home: bool
) -> None:
    """With a home folder or without, also where warnings are errors; and the process ends."""
    environ = {name: value for name, value in os.environ.items() if name != "HOME"}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_AND_RUN, str(opend.port)],
        capture_output=True,
        text=True,
        env=environ | ({"HOME": str(tmp_path)} if with_home else {}),
        timeout=PATIENCE * 3,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


async def test_the_vendors_log_is_ours_at_debug_level(
    opend: Controller, run_feed: RunFeed, caplog: pytest.LogCaptureFixture
) -> None:
    """Its warnings are details to us."""
    caplog.set_level(logging.DEBUG, "bookcast.feeds.futu.vendor")
    opend.stop_listening()
    async with run_feed(opend.port) as running:
        await eventually(lambda: running.feed.status().state == "disconnected", "the complaint")
    found = [record for record in caplog.records if record.name == "bookcast.feeds.futu.vendor"]
    assert any("Connect fail" in record.getMessage() for record in found)
    assert {record.levelno for record in found} == {logging.DEBUG}


def test_a_missing_package_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setattr(vendor, "find_spec", lambda _name: None)
    with pytest.raises(StartupError, match=r"pip install futu-api$"):
        vendor.require_futu()
