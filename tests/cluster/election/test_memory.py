"""Elections among the nodes of one process."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from bookcast.cluster.election.memory import MemoryElection, MemoryLock
from tests.budget import examples
from tests.support import eventually


class Runner:
    """Who runs the feed; to begin may take a while."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.may_begin = asyncio.Event()
        self.may_begin.set()

    async def gain(self, fence: int) -> None:
        await self.may_begin.wait()
        self.told.append(f"gained {fence}")

    async def lose(self) -> None:
        self.told.append("lost")


async def test_a_single_node_has_the_feed_when_it_is_started() -> None:
    """Without any wait."""
    election, runner = MemoryElection(), Runner()
    await election.start(runner)
    assert (runner.told, election.fence) == (["gained 1"], 1)
    await election.resign()
    assert (runner.told[1:], election.fence) == (["lost"], None)


async def test_a_single_node_that_is_refused_begins_anew() -> None:
    """Under the next number, since nobody else takes it."""
    election, runner = MemoryElection(), Runner()
    await election.start(runner)
    await election.note_fenced(1)
    await eventually(lambda: election.fence == 2, "the next number")
    assert runner.told == ["gained 1", "lost", "gained 2"]


async def test_a_feed_is_begun_before_it_is_ended() -> None:
    """However long it takes to begin."""
    election, runner = MemoryElection(), Runner()
    runner.may_begin.clear()
    starting = asyncio.ensure_future(election.start(runner))
    await asyncio.sleep(0)
    resigning = asyncio.ensure_future(election.resign())
    await asyncio.sleep(0)
    assert runner.told == []
    runner.may_begin.set()
    await starting
    await resigning
    assert runner.told == ["gained 1", "lost"]


async def test_who_ends_while_it_is_their_turn_leaves_it_to_the_next() -> None:
    """The lock was free a moment ago, and nobody has it for long."""
    lock = MemoryLock()
    elections, runners = [MemoryElection(lock) for _ in range(3)], [Runner() for _ in range(3)]
    for election, runner in zip(elections, runners, strict=True):
        await election.start(runner)
    await elections[0].resign()
    await elections[1].resign()
    await eventually(lambda: elections[2].fence is not None, "the last one")
    assert [one.told[-1:] for one in runners[:2]] in ([["lost"], ["lost"]], [["lost"], []])
    assert lock.fence == elections[2].fence


NODES = range(4)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["dies", "is refused", "resigns", "a turn passes"]), st.sampled_from(NODES)
    ),
    max_size=20,
)


@given(STEPS)
@settings(max_examples=examples(100))
def test_whatever_happens_one_of_those_who_live_runs_the_feed(
    steps: list[tuple[str, int]],
) -> None:
    """Never two of them, each time under a higher number, as long as anybody is left."""
    asyncio.run(play(steps))


async def play(steps: list[tuple[str, int]]) -> None:
    lock, fences = MemoryLock(), []
    elections, runners = [MemoryElection(lock) for _ in NODES], [Runner() for _ in NODES]
    living = set(NODES)

    def leaders() -> list[int]:
        return [one for one in living if runners[one].told[-1:] not in ([], ["lost"])]

    for election, runner in zip(elections, runners, strict=True):
        await election.start(runner)
    for what, node in steps:
        election = elections[node]
        if what == "dies":
            lock.release(election)
            living.discard(node)
        elif what == "resigns":
            await election.resign()
            living.discard(node)
        elif what == "is refused" and node in living:
            await election.note_fenced(election.fence or 0)
        else:
            await asyncio.sleep(0)
        assert len(leaders()) <= 1
        fences.append(lock.fence)
    if living:
        await eventually(lambda: len(leaders()) == 1, f"a leader of {living}")
        [leader] = leaders()
        assert elections[leader].fence == lock.fence
    assert fences == sorted(fences)
    for election in elections:
        await election.resign()
