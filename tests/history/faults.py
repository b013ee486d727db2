"""Which faults happen when: chosen by a seed, so that a run can be repeated."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from tests.history.cluster import NODES, Cluster, Node
from tests.history.history import Fault

LEADER = -1
"""In place of a node's number: whoever runs the feed when the time comes."""

WARM_UP = 2.0
COOL_DOWN = 4.0
"""So long nothing is broken at the beginning, and at the end of a schedule."""

LAG_SECONDS = 0.3
"""A replica that takes over lacks what was written in so long before."""

NODE_KINDS = ("node killed", "node paused", "node drained")
WORKER_KINDS = ("worker killed",)
"""Where the first node has workers: one of them is killed."""

SHARED_KINDS = (
    "redis killed, empty",
    "redis killed, kept",
    "redis paused",
    "redis failed over",
    "link cut",
    "link stalled",
    "link slow",
    "pub/sub kicked",
)

SECONDS = {
    "node killed": (0.3, 2.0),
    "node paused": (0.5, 5.0),
    "node drained": (0.0, 0.5),
    "worker killed": (0.0, 1.0),
    "redis killed, empty": (0.2, 2.0),
    "redis killed, kept": (0.2, 2.0),
    "redis paused": (0.3, 4.0),
    "redis failed over": (0.0, 1.5),
    "link cut": (0.0, 1.0),
    "link stalled": (0.3, 4.0),
    "link slow": (1.0, 4.0),
    "pub/sub kicked": (0.0, 0.0),
}
"""How long each lasts, at least and at most; a node takes a second or more to start again."""


class Step(msgspec.Struct, frozen=True):
    """One fault. ``at``: seconds since the faults began; ``number``: of the node, if it has one."""

    at: float
    what: str
    seconds: float
    number: int = 0


def schedule(
    seed: int, seconds: float, *, leaders: bool = False, workers: bool = False
) -> list[list[Step]]:
    """Make two lanes of faults, which overlap: of nodes, and of what they share.

    Within a lane one is over before the next begins, so two nodes at least are there always.
    ``leaders``: some are aimed at whoever runs the feed; ``workers``: some at a worker.
    """
    lanes = []
    node_kinds = (*NODE_KINDS, *WORKER_KINDS) if workers else NODE_KINDS
    for name, kinds in (("nodes", node_kinds), ("shared", SHARED_KINDS)):
        choice = random.Random(f"{seed} {name}")
        steps: list[Step] = []
        at = WARM_UP + choice.uniform(0, 2)
        while True:
            what = choice.choice(kinds)
            lasts = round(choice.uniform(*SECONDS[what]), 2)
            number = choice.randrange(NODES)
            if leaders and name == "nodes" and choice.random() < 0.5:
                number = LEADER
            if at + lasts > seconds - COOL_DOWN:
                break
            steps.append(Step(round(at, 2), what, lasts, number))
            at += lasts + choice.uniform(2.0, 7.0)
        lanes.append(steps)
    return lanes


class Nemesis:
    """Causes faults, and ends them.

    ``clock``: seconds since the run began; ``note`` is given each fault when it is over.
    """

    def __init__(
        self, cluster: Cluster, *, clock: Callable[[], float], note: Callable[[Fault], None]
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._note = note

    async def play(self, lanes: Sequence[Sequence[Step]]) -> None:
        """Play a schedule; what couldn't be done in time is done late."""
        began = self._clock()
        async with asyncio.TaskGroup() as tasks:
            for lane in lanes:
                tasks.create_task(self._play_lane(began, lane))

    async def _play_lane(self, began: float, lane: Sequence[Step]) -> None:
        for step in lane:
            await asyncio.sleep(max(0.0, began + step.at - self._clock()))
            await self.inflict(step)

    async def inflict(self, step: Step) -> Fault:
        """Break something for its time; return the result."""
        node = self._cluster.nodes[0] if step.what in WORKER_KINDS else self._node(step.number)
        shared = step.what.startswith(("redis", "pub/sub"))
        fault = Fault(step.what, self._clock(), float("inf"), "" if shared else node.name)
        self._note(fault)
        await self._deeds()[step.what](node, step.seconds)
        fault.until = self._clock()
        return fault

    def _node(self, number: int) -> Node:
        if number == LEADER:
            return self._cluster.leader() or self._cluster.nodes[0]
        return self._cluster.nodes[number]

    def _deeds(self) -> dict[str, Callable[[Node, float], Awaitable[None]]]:
        return {
            "node killed": self._kill_node,
            "node paused": self._pause_node,
            "node drained": self._drain_node,
            "worker killed": self._kill_worker,
            "redis killed, empty": self._kill_redis_empty,
            "redis killed, kept": self._kill_redis_kept,
            "redis paused": self._pause_redis,
            "redis failed over": self._fail_over,
            "link cut": self._cut,
            "link stalled": self._stall,
            "link slow": self._slow,
            "pub/sub kicked": self._kick,
        }

    async def _kill_node(self, node: Node, seconds: float) -> None:
        await node.kill()
        await asyncio.sleep(seconds)
        await node.start()

    async def _pause_node(self, node: Node, seconds: float) -> None:
        node.pause()
        try:
            await asyncio.sleep(seconds)
        finally:
            node.resume()

    async def _drain_node(self, node: Node, seconds: float) -> None:
        await node.drain()
        await asyncio.sleep(seconds)
        await node.start()

    async def _kill_worker(self, node: Node, seconds: float) -> None:
        await node.kill_worker(seconds)

    async def _kill_redis_empty(self, _node: Node, seconds: float) -> None:
        await self._cluster.kill_redis()
        await asyncio.sleep(seconds)
        await self._cluster.start_redis(empty=True)

    async def _kill_redis_kept(self, _node: Node, seconds: float) -> None:
        await self._cluster.kill_redis()
        await asyncio.sleep(seconds)
        await self._cluster.start_redis(empty=False)

    async def _pause_redis(self, _node: Node, seconds: float) -> None:
        self._cluster.redis.pause()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._cluster.redis.resume()

    async def _fail_over(self, _node: Node, seconds: float) -> None:
        await self._cluster.fail_over(LAG_SECONDS, seconds)

    async def _cut(self, node: Node, seconds: float) -> None:
        node.proxy.refuse()
        node.proxy.cut()
        await asyncio.sleep(seconds)
        node.proxy.accept()

    async def _stall(self, node: Node, seconds: float) -> None:
        node.proxy.stall()
        await asyncio.sleep(seconds)
        node.proxy.flow()

    async def _slow(self, node: Node, seconds: float) -> None:
        node.proxy.delay(0.15)
        await asyncio.sleep(seconds)
        node.proxy.delay(0.0)

    async def _kick(self, _node: Node, _seconds: float) -> None:
        await self._cluster.kick_subscribers()
