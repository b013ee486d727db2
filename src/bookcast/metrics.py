"""Numbers for Prometheus, read from their owners when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

DELAY_BUCKETS: Final = (
    0.0005,
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.5,
    1.0,
    5.0,
)
"""Seconds. What is beyond the last one is stuck."""


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


def registry_of(numbers: Sequence[Number], *others: Collector) -> CollectorRegistry:
    """Make a registry of these numbers and others, apart from the process-wide default one."""
    registry = CollectorRegistry()
    for collector in (_Numbers(numbers), *others):
        registry.register(collector)
    return registry
