"""Measures bookcast, beside comparable servers: python benchmarks/run.py

Each scenario runs several times, and medians are shown. The server has one core to itself; the load
(C programs: receivers and publishers) shares another. All traffic is on the loopback interface.
CPU is that of the server process, user and system, divided by the frames that arrived. Latency is
the time from the publisher's write to the receiver's read, on a few of the connections.

    run.py        options, order, tables        server.py    programs under test
    measure.py    one measured stretch          load.py      receivers and publishers
    scenarios/    what is measured              sink.c       many receivers
    comparators/  what else one could run       publish.c    a publisher
    rows.py       medians, marks, tables        floor.c      a plain loop of send()
    machine.py    CPU, memory, who disturbs     frames.h     what the C programs share
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

import machine
import server
from load import Tools
from measure import Bench, attempt
from rows import Row, merge, table
from scenarios import ALL


def main() -> None:
    """Run the chosen scenarios, and print the results."""
    options = _options()
    # By default Python would exit at once on SIGTERM, and leave child processes running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with server.bookcast() as program:
        features = server.features(program.port)
    seconds = options.seconds or (2.0 if options.quick else 5.0)
    if options.quick:
        machine.PATIENCE = 0.0
    understood = {name: name in features for name in ("v1", "socket", "batch")}
    bench = Bench(Tools(), seconds, options.quick, **understood)
    if machine.SERVER_CORE == machine.LOAD_CORE:
        print("only one core: server and load disturb each other", file=sys.stderr)
    print(_setting(options.runs, seconds, features))
    collected: list[Row] = []
    for letter in options.only:
        title, run = ALL[letter]
        rows: list[Row] = []
        turns = []
        for number in range(options.runs):
            _progress(f"({letter}) {title}: run {number + 1} of {options.runs}")
            turns.append(f"{machine.turn_ns():.1f}")
            rows += attempt(letter, "all of it", lambda: run(bench))
        _progress("")
        collected += rows
        print(
            f"\n({letter}) {title}\na fixed loop took {', '.join(turns)} ns a turn\n{table(merge(rows), markdown=False)}",
            flush=True,
        )
        _write(options, collected, _setting(options.runs, seconds, features))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only",
        type=lambda text: [letter for letter in text.split(",") if letter],
        default=list(ALL),
        help="scenarios, for instance a,c: " + "; ".join(f"{k} {v[0]}" for k, v in ALL.items()),
    )
    parser.add_argument("--runs", type=int, help="runs of each scenario (default 3)")
    parser.add_argument("--seconds", type=float, help="length of a stretch (default 5)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one short run of everything, however busy the machine is",
    )
    parser.add_argument("--json", type=Path, help="write every run's figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    options = parser.parse_args()
    options.runs = options.runs or (1 if options.quick else 3)
    if unknown := set(options.only) - set(ALL):
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}")
    return options


def _setting(runs: int, seconds: float, features: set[str]) -> str:
    return (
        f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {len(machine.CORES)} cores, Linux "
        f"{platform.release()}, Python {platform.python_version()}; medians of {runs} runs of "
        f"{seconds:g} s; beyond the base protocol: {', '.join(sorted(features)) or 'nothing'}"
    )


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def _write(options: argparse.Namespace, rows: list[Row], setting: str) -> None:
    if options.markdown:
        parts = [f"{setting}.\n"]
        for letter in dict.fromkeys(row.scenario for row in rows):
            chosen = merge(row for row in rows if row.scenario == letter)
            parts.append(f"### {ALL[letter][0]}\n\n{table(chosen, markdown=True)}\n")
        options.markdown.write_text("\n".join(parts))
    if options.json:
        found = {"setting": setting, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
