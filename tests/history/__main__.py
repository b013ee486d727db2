"""A long run: ``python -m tests.history --seconds 300 --seed 7``."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.history.cluster import missing_programs
from tests.history.faults import schedule
from tests.history.modes import MODES, Mode, modes_of
from tests.history.report import describe
from tests.history.run import Load, Result, Run, perform

STARTING_SECONDS = 120.0
"""So long everything around the faults may take."""


def main() -> int:
    """Run, say what came of it, and give 1 when a promise wasn't kept."""
    arguments = _arguments()
    if missing := missing_programs():
        _say(f"not on the PATH: {', '.join(missing)}")
        return 2
    seed = arguments.seed if arguments.seed is not None else random.randrange(10**6)
    modes = modes_of(seed) if arguments.modes is None else arguments.modes
    _say(f"seed {seed}, modes: {', '.join(sorted(modes)) or 'none'}")
    folder = Path(tempfile.mkdtemp(prefix="bookcast-history-"))
    try:
        result = asyncio.run(_run(folder, seed, modes, arguments))
        _say(describe(result))
        if result.is_well:
            return 0
        _keep(result, folder, arguments.out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1


async def _run(
    folder: Path, seed: int, modes: frozenset[Mode], arguments: argparse.Namespace
) -> Result:
    lanes = schedule(
        seed, arguments.seconds, leaders=arguments.simulator, workers="workers" in modes
    )

    async def faults(run: Run) -> None:
        began = run.clock()
        await run.nemesis.play(lanes)
        await asyncio.sleep(max(0.0, began + arguments.seconds - run.clock()))

    load = Load(arguments.clients, arguments.rate, simulator=arguments.simulator, modes=modes)
    planned = max((step.at + step.seconds for lane in lanes for step in lane), default=0.0)
    async with asyncio.timeout(max(planned, arguments.seconds) * 1.5 + STARTING_SECONDS):
        return await perform(folder, seed, faults, load)


def _keep(result: Result, folder: Path, out: Path | None) -> None:
    """Keep the history and the logs of a failure."""
    place = out or Path(tempfile.mkdtemp(prefix="bookcast-history-failed-"))
    place.mkdir(parents=True, exist_ok=True)
    result.history.write(place / "history.jsonl")
    for log in folder.glob("*.log"):
        shutil.copy(log, place)
    _say(f"\nthe history and the logs are in {place}")


def _say(text: str) -> None:
    print(text, flush=True)


def _modes(text: str) -> frozenset[Mode]:
    words = set() if text == "none" else set(text.split(","))
    if unknown := words - set(MODES):
        named = ", ".join(sorted(unknown))
        raise argparse.ArgumentTypeError(f"{named}: there are {', '.join(MODES)}, and none")
    return frozenset(mode for mode in MODES if mode in words)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.history", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults come")
    parser.add_argument("--seed", type=int, help="of faults, publishers and clients")
    parser.add_argument("--clients", type=int, default=30)
    parser.add_argument("--rate", type=float, default=100.0, help="publications a second")
    parser.add_argument("--simulator", action="store_true", help="with a feed, which one node runs")
    parser.add_argument(
        "--modes",
        type=_modes,
        help="workers,auth,all,local,candles, or none; else the seed's bits 0 to 4 choose",
    )
    parser.add_argument("--out", type=Path, help="a folder for history and logs of a failure")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
