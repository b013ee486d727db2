import asyncio
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from bookcast.errors import CloseCode
from bookcast.sessions.drain import drain, slots


class Client:
    def __init__(self, leave: Callable[["Client"], None]) -> None:
        self.told: list[float] = []
        self.ended: list[CloseCode] = []
        self.leave = leave

    def go_away(self, seconds: float) -> None:
        self.told.append(seconds)

    def lose(self, code: CloseCode) -> None:
        self.ended.append(code)
        self.leave(self)


class Node:
    """A node with clients, whose time passes as the event loop turns."""

    def __init__(self, count: int) -> None:
        self.now = 100.0
        self.ended_at: dict[Client, float] = {}
        self.clients = [Client(self.left) for _ in range(count)]
        self.there = list(self.clients)

    def left(self, client: Client) -> None:
        self.ended_at[client] = self.now
        self.there.remove(client)

    def clock(self) -> float:
        self.now += 0.01
        return self.now

    async def drain(self, seconds: float) -> None:
        async with asyncio.timeout(10):
            await drain(
                lambda: tuple(self.there),
                seconds,
                clock=self.clock,
                random=lambda: 0.5,
                step=0,
            )


@given(st.integers(1, 200), st.floats(0, 3600), st.floats(0, 1, exclude_max=True))
def test_each_client_has_a_slot_of_its_own(count: int, seconds: float, chance: float) -> None:
    """They are spread evenly, and within the time."""
    found = slots(count, seconds, lambda: chance)
    assert len(found) == count
    assert found == sorted(found)
    assert all(
        index / count * seconds <= slot <= (index + 1) / count * seconds + 1e-6
        for index, slot in enumerate(found)
    )


async def test_clients_are_told_and_closed_one_after_the_other() -> None:
    """Each at about the time that it was told, with the code that asks it to come back."""
    node = Node(10)
    await node.drain(2)
    assert node.there == []
    for client in node.clients:
        assert client.ended == [CloseCode.RESTART]
        assert len(client.told) == 1
        assert abs(node.ended_at[client] - 100.02 - client.told[0]) < 0.1
    times = sorted(node.ended_at.values())
    assert times[0] < 100.5
    assert 101.5 < times[-1] < 102.2


async def test_without_time_all_go_at_once() -> None:
    """As in development."""
    node = Node(3)
    await node.drain(0)
    assert node.now < 100.1
    assert [client.told for client in node.clients] == [[0], [0], [0]]


async def test_it_ends_when_nobody_is_left() -> None:
    """Nobody waits for the rest of the time."""
    node = Node(0)
    await node.drain(3600)
    assert node.now < 100.1


async def test_who_comes_meanwhile_goes_within_the_time_that_is_left() -> None:
    """A balancer may not have noticed yet."""
    node = Node(1)
    late = Client(node.left)

    def arrive(client: Client) -> None:
        node.left(client)
        if late not in node.ended_at:
            node.there.append(late)

    node.clients[0].leave = arrive
    await node.drain(2)
    assert late.ended == [CloseCode.RESTART]
    assert node.ended_at[late] < 102.2
