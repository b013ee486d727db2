"""Nodes of one process, which can die as nodes of other processes do."""

import asyncio
from functools import partial

import pytest

from bookcast.cluster.members.base import Node
from bookcast.cluster.members.memory import MemoryMembers, MemoryNetwork
from bookcast.errors import EngineAwayError
from tests.support import PATIENCE


def node(name: str, network: MemoryNetwork | None = None) -> MemoryMembers:
    made = MemoryMembers(partial(Node, name, "group"), network)

    async def turn(body: bytes) -> bytes:
        return body[::-1]

    made.handlers["turn"] = turn
    return made


async def test_a_single_node_is_in_no_cluster() -> None:
    """It can ask itself all the same."""
    one = node("one")
    assert one.living == {}
    assert await one.ask("one", "turn", b"ab", PATIENCE) == b"ba"
    assert await one.ask("two", "turn", b"ab", PATIENCE) is None
    one.announce()
    await one.close()
    assert await one.ask("one", "turn", b"ab", PATIENCE) is None


@pytest.mark.parametrize("lost", ["turn", ""])
async def test_a_message_can_be_lost_on_its_way(lost: str) -> None:
    """The caller isn't notified of a lost request or answer, so its timeout expires."""
    network = MemoryNetwork()
    one, _ = node("one", network), node("two", network)
    network.loses = lambda sender, receiver, method: (
        method == lost
        and {sender, receiver}
        == {
            "one",
            "two",
        }
    )
    assert await one.ask("two", "turn", b"ab", 0.01) is None
    assert await one.ask("one", "turn", b"ab", PATIENCE) == b"ba"
    network.loses = lambda _sender, _receiver, _method: False
    assert await one.ask("two", "turn", b"ab", PATIENCE) == b"ba"


async def test_a_node_that_is_lost_reaches_nobody() -> None:
    """Nor does anybody reach it, until it joins again; also what was asked of it before is lost."""
    network = MemoryNetwork()
    one, other = node("one", network), node("two", network)
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def wait(_body: bytes) -> bytes:
        asked.set()
        await may_answer.wait()
        return b"late"

    other.handlers["wait"] = wait
    asking = asyncio.ensure_future(one.ask("two", "wait", b"", 0.05))
    await asyncio.wait_for(asked.wait(), PATIENCE)
    network.lose("two")
    may_answer.set()
    assert await asking is None
    assert set(one.living) == {"one"}
    assert await one.ask("two", "turn", b"ab", PATIENCE) is None
    assert await other.ask("one", "turn", b"ab", PATIENCE) is None
    network.join(other)
    assert await other.ask("one", "turn", b"ab", PATIENCE) == b"ba"


async def test_a_node_that_takes_the_id_of_another_outlives_its_end() -> None:
    """As one that was started anew."""
    network = MemoryNetwork()
    old, new, other = node("one", network), node("one", network), node("two", network)
    await old.close()
    assert await other.ask("one", "turn", b"ab", PATIENCE) == b"ba"
    assert await new.ask("two", "turn", b"ab", PATIENCE) == b"ba"


async def test_while_the_network_is_away_nobody_is_asked() -> None:
    """As while Redis is."""
    network = MemoryNetwork()
    one, _ = node("one", network), node("two", network)
    network.away = "it is gone"
    with pytest.raises(EngineAwayError, match="it is gone"):
        await one.ask("two", "turn", b"", PATIENCE)
    assert await one.ask_all(["two"], "turn", b"", PATIENCE) == {"two": None}
    await one.tell("two", "turn", b"")
    network.away = ""
    assert await one.ask("two", "turn", b"ab", PATIENCE) == b"ba"
