"""(c) The memory of an idle, subscribed connection of a browser."""

from __future__ import annotations

import time

import server
from comparators import Comparator, everyone
from load import PROTOCOLS, Sink, Tools
from measure import Bench, attempt
from rows import Mark, Row

TITLE = "Idle, subscribed connections with a browser's headers"
CONNECTIONS, COMPARED = 10_000, 2_000
WARM_UP = 100
"""So many connections are made and closed first, so that modules are loaded and buffers exist."""
SYMBOL = "US.AAPL"


def run(bench: Bench) -> list[Row]:
    """Measure base and v1 clients, and the comparators with fewer clients."""
    rows = []
    for protocol, view in PROTOCOLS.items():
        if protocol == "v1" and not bench.v1:
            rows.append(Row("c", protocol, notes=["not in this version"]))
        else:
            rows += attempt("c", protocol, lambda: _ours(bench, protocol, view))
    for other in everyone():
        if other.start is None:
            rows.append(Row("c", other.name, notes=[other.missing]))
        else:
            rows += attempt("c", other.name, lambda: _theirs(bench, other))
    return rows


def _ours(bench: Bench, protocol: str, view: dict[str, object]) -> list[Row]:
    connections = CONNECTIONS // 5 if bench.quick else CONNECTIONS
    with server.bookcast() as program:
        each = _each(bench.tools, program, connections, offer_deflate=True, **view)
    case = f"{protocol}, {connections:,} connections"
    return [Row("c", case, {"rss_kb": each}, [Mark("rss_kb", "<=", 5)])]


def _theirs(bench: Bench, other: Comparator) -> list[Row]:
    assert other.start is not None
    with other.start() as program:
        # Without compression, which would multiply the memory of some of them.
        each = _each(bench.tools, program, COMPARED, **other.receive)
    return [Row("c", f"{other.name}, {COMPARED:,} connections", {"rss_kb": each})]


def _each(tools: Tools, program: server.Program, connections: int, **view: object) -> float:
    with Sink(tools, program.port, WARM_UP, symbol=SYMBOL, **view):
        pass
    time.sleep(0.5)
    before = program.rss_kb()
    with Sink(tools, program.port, connections, symbol=SYMBOL, addresses=20, **view) as sink:
        time.sleep(1)
        held = program.rss_kb()
        assert sink.report()["closed"] == 0
    return (held - before) / connections
