"""Runs scenarios and writes what they note."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.fakes.redis_server import RedisServer
from tests.golden.clock import CLOCK
from tests.golden.loop import ScriptedLoop
from tests.golden.scenarios import SCENARIOS, Scenario
from tests.golden.world import World

HERE = Path(__file__).parent
FOLDERS = ("files", "writes")
"""What clients are sent; and how many frames of it each write had."""


def main(arguments: Sequence[str]) -> int:
    """Record all scenarios, or some."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--renew", action="store_true", help="write the golden files anew")
    where.add_argument("--into", type=Path, help="write to this folder instead")
    parser.add_argument("--engine", choices=["memory", "redis"], help="those of one engine only")
    parser.add_argument("names", nargs="*", help="scenarios; all unless given")
    options = parser.parse_args(arguments)
    logging.disable()
    folders = [(HERE if options.renew else options.into) / name for name in FOLDERS]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    chosen = {
        name: one
        for name, one in SCENARIOS.items()
        if (not options.names or name in options.names)
        and (options.engine is None or (options.engine == "redis") == one.needs_redis)
    }
    for folder in folders if options.renew else ():
        for stray in set(folder.iterdir()) - {folder / f"{name}.txt" for name in SCENARIOS}:
            stray.unlink()
    for name, one in chosen.items():
        for folder, text in zip(folders, record(one), strict=True):
            (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return 0


def record(scenario: Scenario) -> tuple[str, str]:
    """Run a scenario; return what its files say."""
    CLOCK.reset()
    with tempfile.TemporaryDirectory() as temporary, _redis(scenario, temporary) as redis:
        loop = ScriptedLoop()
        try:
            return loop.run_until_complete(_record(loop, scenario, Path(temporary), redis))
        finally:
            loop.close()


async def _record(
    loop: ScriptedLoop, scenario: Scenario, folder: Path, redis: RedisServer | None
) -> tuple[str, str]:
    world = World(loop, folder, redis)
    world.say(scenario.title)
    try:
        await scenario.script(world)
        return world.transcript.text(), world.transcript.writes()
    finally:
        await world.close()


@contextlib.contextmanager
def _redis(scenario: Scenario, folder: str) -> Iterator[RedisServer | None]:
    if not scenario.needs_redis:
        yield None
        return
    if hasattr(os, "sched_setaffinity"):
        # On one processor, the loopback delivers in order whatever else the machine does.
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {processors[os.getpid() % len(processors)]})
    with RedisServer(Path(folder) / "redis") as server:
        yield server
