from __future__ import annotations

import difflib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.record import FOLDERS, HERE
from tests.golden.scenarios import SCENARIOS
from tests.support import ROOT, missing

SECONDS = 170
"""A recording takes a few, but nothing is wrong with it on a machine that is busy."""

RENEW = (
    "If clients are meant to be sent this, run 'python -m tests.golden --renew' and commit the "
    "files with the change that causes it; see tests/golden/__init__.py"
)


def differences(recorded: Path, engine: str) -> list[str]:
    """Return, as unified diffs, where what was recorded isn't what the golden files have."""
    found: list[str] = []
    for folder in FOLDERS:
        for name, scenario in SCENARIOS.items():
            if scenario.needs_redis != (engine == "redis"):
                continue
            golden = HERE / folder / f"{name}.txt"
            before = golden.read_text("utf-8").splitlines() if golden.exists() else []
            after = (recorded / folder / f"{name}.txt").read_text("utf-8").splitlines()
            label = f"tests/golden/{folder}/{name}.txt"
            found += difflib.unified_diff(before, after, label, "now", n=2, lineterm="")
    return found


@pytest.mark.timeout(SECONDS + 10)
@pytest.mark.parametrize("engine", ["memory", "redis"])
def test_clients_are_sent_what_the_golden_files_have(engine: str, tmp_path: Path) -> None:
    """Every byte that clients are sent, in every scenario, is the one in the files."""
    if engine == "redis" and shutil.which("redis-server") is None:
        missing("no redis-server on the PATH: install it to test with Redis")
    recording = subprocess.run(
        [sys.executable, "-m", "tests.golden", "--into", str(tmp_path), "--engine", engine],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert recording.returncode == 0, recording.stderr
    found = differences(tmp_path, engine)
    if found:
        pytest.fail("\n".join([*found, "", RENEW]), pytrace=False)


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_scenario_has_its_file(folder: str) -> None:
    """No file is missing, and none is left over from a scenario that is gone."""
    assert {path.name for path in (HERE / folder).iterdir()} == {
        f"{name}.txt" for name in SCENARIOS
    }, RENEW
