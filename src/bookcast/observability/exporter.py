"""Exports to Prometheus what is counted: read from its owners when it is scraped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from bookcast.observability.counter import readings

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

_FAMILIES: Final = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}


class Exporter(Collector):
    """Reads the numbers that owners declare."""

    def __init__(self, owners: Sequence[object]) -> None:
        self._owners = owners

    def collect(self) -> Iterable[Family]:
        """Yield each metric with its values."""
        for metric, value in readings(*self._owners):
            labels = [metric.label] if metric.label else []
            family = _FAMILIES[metric.kind](metric.name, metric.help, labels=labels)
            values = value if isinstance(value, Mapping) else {"": value}
            for label, number in sorted(values.items()):
                family.add_metric([label] if labels else [], number)
            yield family


def registry_of(owners: Sequence[object], *others: Collector) -> CollectorRegistry:
    """Make a registry of what owners count and of other collectors.

    It is apart from the process-wide default one.
    """
    registry = CollectorRegistry()
    for collector in (Exporter(owners), *others):
        registry.register(collector)
    return registry
