"""Figures of the kernel: CPU time, memory, and the use of the machine by other processes."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
"""The server has one core to itself; publishers and receivers share another."""

PATIENCE = 15.0
"""A measurement waits at most so many seconds for the machine to be idle. 0: it doesn't wait, and
isn't repeated when other processes disturbed it."""

QUIET = 0.15
"""Other processes may use so many cores during a measurement without a note in the results."""

TURNS = 500_000


def pinned(core: int, *command: object) -> list[str]:
    """Return a command that runs on one core."""
    return ["taskset", "-c", str(core), *map(str, command)]


def family(pid: int) -> list[int]:
    """Return the ids of a process and all its descendants."""
    found = [pid]
    try:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                found += family(int(child))
    except OSError:
        pass  # the process has just ended
    return found


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its descendants, in seconds, to the microsecond."""
    total = 0
    for member in family(pid):
        for thread in Path(f"/proc/{member}/task").glob("*/schedstat"):
            try:
                total += int(thread.read_text().split()[0])
            except OSError:
                pass
    return total / 1e9


def rss_kb(pid: int) -> int:
    """Return the resident memory of a process and its descendants, in KB."""
    total = 0
    for member in family(pid):
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{member}/status").read_text())
        total += int(found[1]) if found else 0
    return total


def open_files() -> int:
    """Return the limit of open files of child processes."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def turn_ns() -> float:
    """Return what one turn of a fixed loop takes on the server's core, in nanoseconds.

    A shared machine may run at two speeds. Runs compare only where this figure is about the same.
    """
    loop = f"import timeit; print(min(timeit.repeat('for i in r: pass', 'r=range({TURNS})', "
    loop += "number=1, repeat=5)))"
    done = subprocess.run(
        pinned(SERVER_CORE, sys.executable, "-c", loop), capture_output=True, text=True, check=True
    )
    return float(done.stdout) / TURNS * 1e9


class Others:
    """Measures the CPU use of other processes since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._idle, self._own = _idle_seconds(), _own_seconds()

    def cores(self) -> float:
        """Return the average number of cores that other processes used."""
        passed = time.monotonic() - self._began
        busy = passed * (os.cpu_count() or 1) - (_idle_seconds() - self._idle)
        return max(0.0, (busy - (_own_seconds() - self._own)) / passed)


def wait_for_quiet() -> None:
    """Wait until other processes are idle, for PATIENCE at most."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        others = Others()
        time.sleep(0.25)
        if others.cores() < QUIET:
            return


def _idle_seconds() -> float:
    fields = Path("/proc/stat").read_text().split(maxsplit=6)
    return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime + cpu_seconds(os.getpid())
