"""``scripts/beside`` runs the checks beside the tests, and hides neither's outcome."""

import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT


@pytest.mark.parametrize(
    ("beside", "main", "code", "lines"),
    [
        ("true", "echo 2 passed", 0, ["2 passed"]),
        ("echo quiet", "echo 2 passed", 0, ["2 passed"]),
        ("echo E501; exit 3", "echo 2 passed", 3, ["2 passed", "…", "E501", "2 passed"]),
        ("echo E501; exit 3", "echo 1 failed; exit 4", 4, ["1 failed", "…", "E501", "1 failed"]),
        ("sleep 0.2", "echo 1 failed; exit 4", 4, ["1 failed"]),
    ],
)
def test_what_fails_is_shown_and_the_last_line_stays_last(
    beside: str, main: str, code: int, lines: list[str], tmp_path: Path
) -> None:
    """The code is that of the tests, or of the checks where the tests went well."""
    command = [str(ROOT / "scripts" / "beside"), str(tmp_path / "log"), "sh", "-c", beside, "--"]
    done = subprocess.run(
        [*command, "sh", "-c", main], capture_output=True, text=True, check=False, timeout=60
    )
    shown = ["…" if line.startswith("===") else line for line in done.stdout.splitlines()]
    assert (done.returncode, shown, done.stderr) == (code, lines, "")
