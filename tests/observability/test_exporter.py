from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from prometheus_client import Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bookcast import serve
from bookcast.engine.memory import MemoryEngine
from bookcast.observability.counter import as_counter, counter
from bookcast.observability.exporter import registry_of
from tests.support import connect

KNOWN = Path(__file__).with_name("metrics.txt")


class Visits:
    """Counts people."""

    came = counter("bookcast_visits", "People that came")

    def __init__(self) -> None:
        self.reasons: dict[str, int] = {}

    @as_counter("bookcast_left", "People that left", label="reason")
    def left(self) -> Mapping[str, int]:
        return self.reasons


def test_numbers_are_read_when_asked_for() -> None:
    """Each reading has what the owner says now."""
    visits = Visits()
    registry = registry_of([visits])
    visits.came += 7
    text = generate_latest(registry).decode()
    assert "# HELP bookcast_visits_total People that came" in text
    assert "# TYPE bookcast_visits_total counter" in text
    assert "bookcast_visits_total 7.0" in text


def test_parts_are_told_apart_by_their_label() -> None:
    """In alphabetical order; without any, the metric is known all the same."""
    visits = Visits()
    registry = registry_of([visits])
    assert "# TYPE bookcast_left_total counter" in generate_latest(registry).decode()
    visits.reasons = {"late": 2, "bored": 1}
    lines = generate_latest(registry).decode().splitlines()
    assert [line for line in lines if line.startswith("bookcast_left_total{")] == [
        'bookcast_left_total{reason="bored"} 1.0',
        'bookcast_left_total{reason="late"} 2.0',
    ]


def test_other_collectors_are_exported_beside_them() -> None:
    """For instance a histogram."""
    text = generate_latest(registry_of([], Histogram("times", "Times", registry=None))).decode()
    assert "times_bucket" in text


def test_a_single_node_has_no_numbers_of_redis() -> None:
    """There is nothing to count."""
    assert MemoryEngine().numbers() == {}


@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_a_server_exports_what_dashboards_know(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """Under the names, types and labels of the scrape kept here, with the same help."""
    url = request.getfixturevalue("redis_url") if kind == "redis" else None
    async with serve(port=0, redis_url=url) as server:
        async with connect(f"{server.ws_url}me") as client:
            await client.ask("nonsense")
        async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http:
            exported = described((await http.get("/metrics")).text)
    known = described(KNOWN.read_text())
    shared = {name for name in known if name.startswith("bookcast_engine_")}
    assert exported == {
        name: one for name, one in known.items() if kind == "redis" or name not in shared
    }


def described(text: str) -> dict[str, tuple[str, str, frozenset[str]]]:
    """Return the help, the type and the labels of each metric."""
    return {
        family.name: (
            family.documentation,
            family.type,
            frozenset(label for sample in family.samples for label in sample.labels),
        )
        for family in text_string_to_metric_families(text)
    }
