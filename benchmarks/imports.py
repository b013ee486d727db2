"""What importing the client costs, beside what it stands on: python benchmarks/imports.py

Each import runs in a process of its own, in turn, and medians of the CPU time are shown: other
programs on the machine don't count.
"""

from __future__ import annotations

import compileall
import statistics
import subprocess
import sys
from pathlib import Path

import bookcast

RUNS = 15
NEEDED = "import websockets.asyncio.client, msgspec"
CLIENT = "import bookcast.client"
MEASURE = "import time; t = time.process_time(); {}; print(time.process_time() - t)"


def seconds(statement: str) -> float:
    """Return the CPU time that a statement takes in a new process."""
    program = [sys.executable, "-c", MEASURE.format(statement)]
    return float(subprocess.run(program, capture_output=True, text=True, check=True).stdout)


def ratio(runs: int = RUNS) -> float:
    """Return how many times as long the client's import takes; medians."""
    # As pip does when it installs: some run Python without writing what it has compiled.
    compileall.compile_dir(Path(bookcast.__file__).parent, quiet=2)
    pairs = [(seconds(NEEDED), seconds(CLIENT)) for _ in range(runs)]
    needed, client = (statistics.median(times) for times in zip(*pairs))
    return client / needed


if __name__ == "__main__":
    print(f"{CLIENT}: {ratio():.2f} times {NEEDED}")
