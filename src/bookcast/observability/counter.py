"""What is counted: declared beside its owner, read when somebody asks.

A counter is a plain integer of its owner, so that counting costs an addition. A number that can be
found when it is asked for is a function instead::

    class Registry:
        accepted = counter("bookcast_connections_accepted", "Handshakes accepted")

        @as_gauge("bookcast_connections", "Clients connected")
        def __len__(self) -> int: ...
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any, Final, Literal, NamedTuple, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., object])


class Metric(NamedTuple):
    """A number as Prometheus knows it. ``label`` names what its parts differ in, if it has some."""

    kind: Literal["counter", "gauge"]
    name: str
    help: str
    label: str = ""


class Reading(NamedTuple):
    """What a metric is now. ``value`` is a mapping by the label's values where it has a label."""

    metric: Metric
    value: float | Mapping[str, float]


class _Zero:
    """Stands for a counter in its class, until an instance has counted for the first time."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric

    def __get__(self, instance: object, owner: type | None = None) -> int:
        return 0


def counter(name: str, help_: str) -> int:
    """Declare a counter. In each instance it is a plain integer that begins with 0."""
    return cast("int", _Zero(Metric("counter", name, help_)))


def as_counter(name: str, help_: str, label: str = "") -> Callable[[Function], Function]:
    """Declare that a function or property returns what was counted, by the label if it has one."""
    return _declaring(Metric("counter", name, help_, label))


def as_gauge(name: str, help_: str) -> Callable[[Function], Function]:
    """Declare that a function or property returns what there is now: a number, or a collection."""
    return _declaring(Metric("gauge", name, help_))


def readings(*owners: object) -> Iterator[Reading]:
    """Read all numbers that these declare. An owner is an object, or a module with functions."""
    for owner in owners:
        namespaces = (owner,) if isinstance(owner, ModuleType) else type(owner).__mro__
        for name, metric in _declared(namespaces):
            value = getattr(owner, name)
            yield Reading(metric, _number(value() if callable(value) else value, metric))


_METRIC: Final = "metric"


def _declaring(metric: Metric) -> Callable[[Function], Function]:
    def declare(function: Function) -> Function:
        vars(function)[_METRIC] = metric
        return function

    return declare


@cache
def _declared(namespaces: tuple[object, ...]) -> tuple[tuple[str, Metric], ...]:
    """Return the metrics that a class and its bases, or a module, declare, with their names."""
    members = {name: one for space in reversed(namespaces) for name, one in vars(space).items()}
    declared = []
    for name, member in members.items():
        holder = member.fget if isinstance(member, property) else member
        metric = getattr(holder, _METRIC, None)
        if isinstance(metric, Metric):
            declared.append((name, metric))
    return tuple(declared)


def _number(value: Any, metric: Metric) -> float | Mapping[str, float]:
    if metric.label:
        return cast("Mapping[str, float]", value)
    if isinstance(value, Collection):
        return len(value)
    return float(value) if isinstance(value, bool) else cast("float", value)
