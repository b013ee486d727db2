"""Exports metrics to Prometheus. It reads them from their owners when it is scraped."""

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
"""Upper bounds in seconds. A delay beyond the last one means that something is stuck."""

_FAMILIES: Final = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}


class Exporter(Collector):
    """Collects the metrics that owners declare."""

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
    """Return a registry of the owners' metrics and of other collectors.

    It is separate from the default registry of the process.
    """
    registry = CollectorRegistry()
    for collector in (Exporter(owners), *others):
        registry.register(collector)
    return registry
