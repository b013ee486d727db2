"""Short runs of what ``python -m tests.history`` does for long: each fault alone, under load."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.history import measures
from tests.history.cluster import missing_programs
from tests.history.faults import LEADER, NODE_KINDS, SHARED_KINDS, WORKER_KINDS, Step, schedule
from tests.history.history import LOCAL
from tests.history.modes import MODES, Mode, modes_of
from tests.history.run import Load, Result, Run, perform
from tests.support import missing

WITHOUT_SECONDS = 2.0
"""So long a client may be without data when its node is gone, apart from its own waits."""

SLACK = 2.0
"""Machines that test have other work."""

CONVERGE_SECONDS = 3.0
TAKE_OVER_SECONDS = 3.0
"""A feed's silence when its node was killed: the lock runs out after 1.5 s."""

RATE = 80.0


@pytest.fixture(scope="module", autouse=True)
def _programs() -> None:
    """Look whether everything is there."""
    if names := missing_programs():
        missing(f"not on the PATH: {', '.join(names)}; install them to test several nodes")


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run where no .env is."""
    monkeypatch.chdir(tmp_path)


async def perform_steps(
    folder: Path, seed: int, steps: Sequence[Step], *modes: Mode, simulator: bool = False
) -> Result:
    """Do a run with these faults, each after the one before is over."""

    async def faults(run: Run) -> None:
        for step in steps:
            await asyncio.sleep(step.at)
            await run.nemesis.inflict(step)
        await asyncio.sleep(1)

    load = Load(24, RATE, simulator=simulator, modes=frozenset(modes))
    return await perform(folder, seed, faults, load)


def say(text: str) -> None:
    """Print what was measured."""
    print(text)


def require(result: Result, holds: bool) -> None:
    """Fail with the faults and the logs unless something holds."""
    if not holds:
        pytest.fail(result.explain())


def assert_well(result: Result) -> None:
    """Look at the verdict, and at how long it took until all had everything."""
    require(result, result.is_well)
    assert result.converged_in is not None
    say(f"converged in {result.converged_in:.3f} s")
    require(result, result.converged_in < CONVERGE_SECONDS * SLACK)


def assert_live_elsewhere(result: Result, kind: str) -> None:
    """Look how long the clients of nodes that were lost were without data."""
    lost = measures.outages(result.history, [kind])
    require(result, bool(lost) and all(one.without is not None for one in lost))
    without = sorted(one.without or 0.0 for one in lost)
    say(f"{len(lost)} clients lost their node, and had data again {without[-1]:.3f} s later")
    require(result, without[-1] < WITHOUT_SECONDS * SLACK)


@pytest.mark.timeout(120)
async def test_a_rolling_restart_is_not_noticed(tmp_path: Path) -> None:
    """Three nodes end in good order, one after the other: nothing is lost, doubled or told of.

    Nor is any book, where every one counts, or any final candle. A node that hangs for a moment
    keeps its clients.
    """
    steps = [Step(0.7, "node drained", 0.0, number) for number in range(3)]
    steps.append(Step(0.7, "node paused", 0.5, 0))
    result = await perform_steps(tmp_path, 1, steps, "all", "candles")
    assert_well(result)
    assert result.verdict.gaps == {}
    assert result.verdict.excused == []
    assert_live_elsewhere(result, "node drained")
    # A slow client may be reading nothing just then, and answer no ping.
    noticed = measures.outages(result.history, ["node paused"])
    require(result, all(one.client.startswith("slow-") for one in noticed))


@pytest.mark.timeout(120)
async def test_clients_of_a_killed_node_are_live_elsewhere_at_once(tmp_path: Path) -> None:
    """First the node that runs the feed, then another; the feed goes on at a third.

    Then a worker of the first is killed. Clients show tokens meanwhile.
    """
    steps = [
        Step(2.0, "node killed", 1.5, LEADER),
        Step(1.0, "node killed", 0.0, LEADER),
        Step(0.5, "worker killed", 0.0),
    ]
    result = await perform_steps(tmp_path, 2, steps, "auth", "workers", simulator=True)
    assert_well(result)
    assert_live_elsewhere(result, "node killed")
    for fault in result.history.faults[:2]:
        silence = measures.longest_silence(
            result.history, "US.SIM1", fault.at - 0.5, fault.at + TAKE_OVER_SECONDS * SLACK
        )
        say(f"the feed was silent for {silence:.3f} s")
        require(result, silence < TAKE_OVER_SECONDS * SLACK)


@pytest.mark.timeout(120)
async def test_nothing_is_lost_silently_while_redis_is_away(tmp_path: Path) -> None:
    """It is killed and comes back empty, hangs for 3 s, and loses all who listen.

    Meanwhile nodes publish for their own clients.
    """
    steps = [
        Step(1.0, "redis killed, empty", 0.5),
        Step(2.0, "redis paused", 3.0),
        Step(2.0, "pub/sub kicked", 0.0),
    ]
    result = await perform_steps(tmp_path, 3, steps, "local", "candles", simulator=True)
    assert_well(result)
    local = [one for one in result.history.attempts if one.epoch.startswith(LOCAL)]
    require(result, bool(local))


@pytest.mark.timeout(120)
async def test_a_replica_that_lagged_takes_over_and_all_have_the_same(tmp_path: Path) -> None:
    """What it lacks was answered for: those who missed it are told so."""
    steps = [Step(1.0, "redis failed over", 0.0), Step(3.0, "redis failed over", 1.0)]
    result = await perform_steps(tmp_path, 4, steps, "auth", "all", simulator=True)
    assert_well(result)


def test_a_seed_gives_the_same_faults_again() -> None:
    """Another one gives others, and in the long run all kinds come."""
    assert schedule(7, 300) == schedule(7, 300)
    assert schedule(7, 300) != schedule(8, 300)
    kinds = {step.what for lane in schedule(7, 600) for step in lane}
    assert kinds == {*NODE_KINDS, *SHARED_KINDS}
    kinds = {step.what for lane in schedule(7, 600, workers=True) for step in lane}
    assert kinds == {*NODE_KINDS, *SHARED_KINDS, *WORKER_KINDS}


def test_a_seed_chooses_the_modes_by_its_bits() -> None:
    """All of them together, none, and each by itself."""
    assert modes_of(0) == modes_of(32) == frozenset()
    assert modes_of(31) == frozenset(MODES)
    assert [modes_of(1 << bit) for bit in range(5)] == [{mode} for mode in MODES]


def test_faults_of_one_lane_follow_each_other() -> None:
    """So that of three nodes two are always there."""
    for lane in schedule(7, 300, leaders=True):
        for step, following in itertools.pairwise(lane):
            assert step.at + step.seconds < following.at
        assert lane[-1].at + lane[-1].seconds < 300
