"""Numbers for Prometheus, read from their owners when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class Number(NamedTuple):
    """One number: its name without the prefix, what it is, and how to read it."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    read: Callable[[], float]


class _Numbers(Collector):
    def __init__(self, numbers: Sequence[Number]) -> None:
        self._numbers = numbers

    def collect(self) -> Iterable[Metric]:
        for number in self._numbers:
            family = GaugeMetricFamily if number.kind == "gauge" else CounterMetricFamily
            yield family(f"bookcast_{number.name}", number.help, value=number.read())


def registry_of(numbers: Sequence[Number]) -> CollectorRegistry:
    """Make a registry of these numbers, apart from the process-wide default one."""
    registry = CollectorRegistry()
    registry.register(_Numbers(numbers))
    return registry
