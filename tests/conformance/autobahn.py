"""Runs the Autobahn|Testsuite against the production WebSocket.

``python -m tests.conformance.autobahn`` installs the suite, runs it and prints a table. It is
written for Python 2.7: name one with ``--python`` or ``PYTHON27``, or have ``python2.7`` on the
path.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.conformance.echo_server import LOOPS, echo_server
from tests.support import ROOT

SUITE: Final = "autobahntestsuite==25.10.1"
VIRTUALENV: Final = "virtualenv==20.15.1"
"""The last one that makes environments for Python 2.7."""

AGENT: Final = "bookcast"
NOT_STRICT: Final = "NON-STRICT"
GOOD: Final = frozenset({"OK", NOT_STRICT, "INFORMATIONAL", "UNIMPLEMENTED"})
BEHAVIORS: Final = ("OK", NOT_STRICT, "INFORMATIONAL", "UNIMPLEMENTED", "FAILED")

_CAN_RUN: Final = "import autobahntestsuite.wstest"
_RUN: Final = "import sys; from autobahntestsuite.wstest import run; sys.exit(run())"


class Outcome(msgspec.Struct, frozen=True):
    """The suite's result of one case: its behaviour, and how the connection was closed."""

    case: str
    behavior: str
    closing: str

    @property
    def group(self) -> int:
        """The first number of the case."""
        return int(self.case.partition(".")[0])

    @property
    def failed(self) -> bool:
        """Whether the behaviour or the close breaks the RFC."""
        return self.behavior not in GOOD or self.closing not in GOOD


def python27() -> str | None:
    """Find a Python 2.7."""
    return os.environ.get("PYTHON27") or shutil.which("python2.7")


def python_with_suite() -> str | None:
    """Find a Python 2.7 that has the suite."""
    python = python27()
    if python is None:
        return None
    return python if _does(python, _CAN_RUN) else None


def _does(python: str, program: str) -> bool:
    """Return whether a Python runs a program; -E ignores settings made for another Python."""
    done = subprocess.run([python, "-E", "-c", program], capture_output=True, check=False)
    return done.returncode == 0


def install(python: str, folder: Path) -> str:
    """Install the suite into a virtual environment unless it exists; return its Python."""
    environment = folder / "env"
    installed = environment / "bin" / "python"
    if not (environment / ".installed").exists():
        tool = folder / "tool"
        pip = ["-E", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([python, *pip, "--target", str(tool), VIRTUALENV], check=True)
        subprocess.run(
            [python, "-m", "virtualenv", "--quiet", str(environment)],
            check=True,
            env={**os.environ, "PYTHONPATH": str(tool)},
        )
        subprocess.run([str(installed), *pip, SUITE], check=True)
        (environment / ".installed").touch()
    return str(installed)


async def run(python: str, cases: Sequence[str], report: Path, **server: Any) -> list[Outcome]:
    """Run cases (``*`` stands for any) against an echo server; the report is a page a case.

    Raises:
        RuntimeError: when the suite itself fails.
    """
    async with echo_server(**server) as echo:
        spec = _specify(report, cases, echo.ws_url + "autobahn")
        with (report / "log.txt").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(python, "-E", "-c", _RUN, "-m", "fuzzingclient", "-s", str(spec)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            try:
                code = await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
    if code != 0:
        raise RuntimeError(f"the suite ended with {code}: see {report / 'log.txt'}")
    return outcomes_of((report / "index.json").read_bytes())


def _specify(report: Path, cases: Sequence[str], url: str) -> Path:
    report.mkdir(parents=True, exist_ok=True)
    path = report / "spec.json"
    spec = {
        "outdir": str(report),
        "servers": [{"agent": AGENT, "url": url}],
        "cases": list(cases),
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    path.write_text(json.dumps(spec))
    return path


def outcomes_of(index: bytes) -> list[Outcome]:
    """Read the suite's report, in the order of its cases."""
    return sorted(
        (
            Outcome(case, found["behavior"], found["behaviorClose"])
            for case, found in json.loads(index)[AGENT].items()
        ),
        key=lambda outcome: [int(number) for number in outcome.case.split(".")],
    )


def table(outcomes: Iterable[Outcome]) -> str:
    """Count the outcomes of each group, and list all that aren't plain passes."""
    counts: dict[int, Counter[str]] = {}
    remarkable = []
    for outcome in outcomes:
        shown = "FAILED" if outcome.failed else outcome.behavior
        counts.setdefault(outcome.group, Counter())[shown] += 1
        if outcome.failed or outcome.behavior == NOT_STRICT:
            remarkable.append(f"{outcome.case}: {outcome.behavior}, closing {outcome.closing}")
    lines = ["group" + "".join(f"{behavior:>15}" for behavior in BEHAVIORS)]
    total: Counter[str] = Counter()
    for group, counted in sorted(counts.items()):
        lines.append(f"{group:5}" + "".join(f"{counted[behavior]:15}" for behavior in BEHAVIORS))
        total += counted
    lines.append("total" + "".join(f"{total[behavior]:15}" for behavior in BEHAVIORS))
    return "\n".join([*lines, *remarkable]) + "\n"


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.autobahn")
    parser.add_argument("cases", nargs="*", default=["*"], help="for instance 7.* 12.1.3")
    parser.add_argument("--python", default=python27(), help="a Python 2.7")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".venv" / "autobahn", help="where it is installed"
    )
    parser.add_argument("--report", type=Path, help="a folder for a page on every case")
    parser.add_argument(
        "--deflate-min-bytes", type=int, default=0, help="send smaller messages as they are"
    )
    parser.add_argument("--loop", choices=LOOPS, default=next(iter(LOOPS)))
    asked = parser.parse_args()
    if asked.python is None or not _does(asked.python, "import pip"):
        parser.error("there is no Python 2.7 with pip: name one with --python or PYTHON27")
    python = install(asked.python, asked.folder)
    with tempfile.TemporaryDirectory() as temporary:
        running = run(
            python,
            asked.cases,
            asked.report or Path(temporary),
            deflate_min_bytes=asked.deflate_min_bytes,
        )
        with asyncio.Runner(loop_factory=LOOPS[asked.loop]) as runner:
            outcomes = runner.run(running)
    sys.stdout.write(table(outcomes))
    return 1 if any(outcome.failed for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
