from collections.abc import Mapping
from types import ModuleType

from bookcast.observability import logs
from bookcast.observability.counter import (
    Metric,
    as_counter,
    as_gauge,
    counter,
    readings,
)
from tests.sessions.world import SessionWorld


class Door:
    """Counts in each way that there is."""

    opened = counter("door_opened", "How often it was opened")

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.is_locked = False

    @as_gauge("door_inside", "Who is inside")
    def who(self) -> list[str]:
        return self.inside

    @property
    @as_gauge("door_locked", "1 while it is locked")
    def locked(self) -> bool:
        return self.is_locked

    @as_counter("door_knocks", "Who knocked", label="name")
    def knocks(self) -> Mapping[str, int]:
        return {"me": 2}


class Gate(Door):
    """Counts what a door counts, and something more."""

    closed = counter("gate_closed", "How often it was closed")


def test_a_counter_is_a_plain_integer_of_each_instance() -> None:
    """It begins with 0, and the class itself counts nothing."""
    one, other = Door(), Door()
    assert (one.opened, type(one.opened)) == (0, int)
    one.opened += 2
    assert (one.opened, type(one.opened), other.opened) == (2, int, 0)
    assert vars(one)["opened"] == 2


def test_numbers_are_read_as_they_are_now() -> None:
    """Counters, the size of a collection, a flag as 1 or 0, and parts by their label."""
    door = Door()
    door.opened += 1
    door.inside.append("me")
    read = {metric.name: value for metric, value in readings(door)}
    assert read == {
        "door_opened": 1,
        "door_inside": 1,
        "door_locked": 0.0,
        "door_knocks": {"me": 2},
    }
    door.is_locked = True
    assert [value for metric, value in readings(door) if metric.name == "door_locked"] == [1.0]


def test_a_number_is_described_where_it_is_declared() -> None:
    """In the order of the class, what its bases declare first."""
    metrics = [metric for metric, _ in readings(Gate())]
    assert metrics == [
        Metric("counter", "door_opened", "How often it was opened"),
        Metric("gauge", "door_inside", "Who is inside"),
        Metric("gauge", "door_locked", "1 while it is locked"),
        Metric("counter", "door_knocks", "Who knocked", "name"),
        Metric("counter", "gate_closed", "How often it was closed"),
    ]


def test_a_module_may_own_a_number() -> None:
    """The functions in it are read, and nothing else of it."""
    owner = ModuleType("owner")
    vars(owner)["found"] = as_counter("owner_found", "What was found")(lambda: 3)
    assert [(metric.name, value) for metric, value in readings(owner)] == [("owner_found", 3)]
    assert [metric.name for metric, _ in readings(logs)] == ["bookcast_log_lines_dropped"]


def test_what_clients_do_is_counted_where_it_is_done() -> None:
    """Every number can be read at any time."""
    world = SessionWorld()
    world.enter("me", "AAPL")
    owners = (world.registry, world.hub, world.refusals)
    read = {metric.name: value for metric, value in readings(*owners)}
    assert read["bookcast_connections"] == read["bookcast_subscriptions"] == 1
    assert read["bookcast_connections_accepted"] == 1
    assert read["bookcast_refusals"] == {}
