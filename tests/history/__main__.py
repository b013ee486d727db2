"""A long run: ``python -m tests.history --seconds 300 --seed 7``."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.history import measures
from tests.history.cluster import missing_programs
from tests.history.faults import Step, schedule
from tests.history.run import Load, Result, Run, perform


def main() -> int:
    """Run, say what came of it, and give 1 when a promise wasn't kept."""
    arguments = _arguments()
    if missing := missing_programs():
        print(f"not on the PATH: {', '.join(missing)}")
        return 2
    seed = arguments.seed if arguments.seed is not None else random.randrange(10**6)
    print(f"seed {seed}", flush=True)
    lanes = schedule(seed, arguments.seconds, leaders=arguments.simulator)

    async def faults(run: Run) -> None:
        await run.nemesis.play(lanes)
        rest = arguments.seconds - _over(lanes)
        await asyncio.sleep(max(0.0, rest))

    load = Load(arguments.clients, arguments.rate, simulator=arguments.simulator)
    with tempfile.TemporaryDirectory(prefix="bookcast-history-") as folder:
        place = arguments.out or Path(folder)
        result = asyncio.run(_bounded(perform(place, seed, faults, load), arguments.seconds))
        report(result)
        if not result.is_well:
            kept = arguments.out or Path(tempfile.mkdtemp(prefix="bookcast-history-failed-"))
            result.history.write(kept / "history.jsonl")
            for log in place.glob("*.log"):
                (kept / log.name).write_bytes(log.read_bytes())
            print(f"\nthe history and the logs are in {kept}")
    return 0 if result.is_well else 1


async def _bounded(work: object, seconds: float) -> Result:
    async with asyncio.timeout(seconds * 2 + 120):
        return await work  # type: ignore[misc,no-any-return]


def _over(lanes: list[list[Step]]) -> float:
    return max((step.at + step.seconds for lane in lanes for step in lane), default=0.0)


def report(result: Result) -> None:
    """Print what came of a run."""
    history, verdict = result.history, result.verdict
    print("\nfaults")
    for fault in history.faults:
        print(f"  {fault.at:8.3f}-{fault.until:.3f}  {fault.what}  {fault.node}")
    print("\ncounts")
    for name, value in measures.counts(history).items():
        print(f"  {name}: {value}")
    print(f"  gaps: {verdict.gaps}")
    found = measures.delays(history)
    shown = ", ".join(
        f"{name} {measures.percentile(found, part) * 1000:.1f}"
        for name, part in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("most", 1.0))
    )
    print(f"\nfrom a publisher to a client, ms: {shown}")
    for kind in ("node killed", "node paused", "node drained"):
        lost = measures.outages(history, [kind])
        without = sorted(one.without for one in lost if one.without is not None)
        never = sum(one.without is None for one in lost)
        if lost:
            print(
                f"clients without data after '{kind}', apart from their own waits: {len(lost)} "
                f"losses, median {measures.percentile(without, 0.5):.3f} s, "
                f"most {measures.percentile(without, 1.0):.3f} s, {never} never"
            )
    converged = result.converged_in
    print(f"all clients had the last of everything after: {converged and round(converged, 3)} s")
    excused = Counter(one.kind for one in verdict.excused)
    print(f"\nexcused by faults: {dict(excused)}")
    for one in [one for one in verdict.excused if not one.kind.startswith("gap")][:20]:
        print(f"  {one}")
    print(f"\ntroubles in the nodes' logs: {len(result.troubles)}")
    for line in result.troubles[:20]:
        print(f"  {line}")
    print(f"\nviolations: {len(verdict.violations)}")
    for one in verdict.violations[:100]:
        print(f"  {one}")
    print(f"\nseed {history.seed}: {'well' if result.is_well else 'NOT WELL'}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.history", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long faults come")
    parser.add_argument("--seed", type=int, help="of faults, publishers and clients")
    parser.add_argument("--clients", type=int, default=30)
    parser.add_argument("--rate", type=float, default=100.0, help="publications a second")
    parser.add_argument(
        "--simulator", action="store_true", help="with a feed, so that a node leads"
    )
    parser.add_argument("--out", type=Path, help="a folder for the history and logs of a failure")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
