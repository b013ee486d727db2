"""Metrics: each is declared in the class of its owner, and read when the exporter is scraped.

A counter is a plain integer attribute of its owner, so counting costs one addition. A number that
can be computed when it is read is a function instead::

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
    """A metric as Prometheus knows it. ``label``: the name of its label; empty if it has none."""

    kind: Literal["counter", "gauge"]
    name: str
    help: str
    label: str = ""


class Reading(NamedTuple):
    """The value of a metric now. With a label, ``value`` maps the label's values to numbers."""

    metric: Metric
    value: float | Mapping[str, float]


class _Zero:
    """Represents a counter in its class. It reads as 0 until an instance counts the first time."""

    def __init__(self, metric: Metric) -> None:
        self.metric = metric

    def __get__(self, instance: object, owner: type | None = None) -> int:
        return 0


def counter(name: str, help_: str) -> int:
    """Declare a counter. In each instance it is a plain integer that starts at 0."""
    return cast("int", _Zero(Metric("counter", name, help_)))


def as_counter(name: str, help_: str, label: str = "") -> Callable[[Function], Function]:
    """Declare that a function or property returns a count; with a label, a mapping of counts."""
    return _declaring(Metric("counter", name, help_, label))


def as_gauge(name: str, help_: str) -> Callable[[Function], Function]:
    """Declare that a function or property returns a gauge: a number, or a collection to count."""
    return _declaring(Metric("gauge", name, help_))


def readings(*owners: object) -> Iterator[Reading]:
    """Yield all metrics that the owners declare. An owner is an object, or a module."""
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
    """Return the metrics of a class and its bases, or of a module, by attribute name."""
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
