"""(e) Bytes per update of a simulated market, with deltas and compression."""

from __future__ import annotations

import time
from contextlib import ExitStack

import server
from load import SUBSCRIBE_BASE, Sink, subscribe_v1
from measure import Bench
from rows import Mark, Row

TITLE = "Bytes per update of a simulated market"
SYMBOL, RATE = "US.AAPL", 20
SECONDS = 15.0
LIMITS = {40: 13.0, 10: 30.0}
"""By levels a side: the maximum size of compressed deltas, in percent of the base protocol's."""
V1 = {"protocol": "bookcast.v1"}
VIEWS: dict[str, dict[str, object]] = {
    "base": {"subscribe": SUBSCRIBE_BASE},
    "v1 full": {**V1, "subscribe": subscribe_v1(mode="full")},
    "v1 full, compressed": {**V1, "subscribe": subscribe_v1(mode="full"), "offer_deflate": True},
    "v1 delta": {**V1, "subscribe": subscribe_v1(mode="delta")},
    "v1 delta, compressed": {**V1, "subscribe": subscribe_v1(mode="delta"), "offer_deflate": True},
}


def run(bench: Bench) -> list[Row]:
    """Connect one client of each kind to the same market."""
    rows = []
    for levels in LIMITS:
        rows += _run(bench, levels)
    return rows


def _run(bench: Bench, levels: int) -> list[Row]:
    rows = []
    settings = {"feed": "simulator", "simulator_symbols": SYMBOL, "simulator_rate": RATE}
    with ExitStack() as stack:
        program = stack.enter_context(
            server.bookcast(**settings, simulator_depth=levels, deflate="auto")
        )
        kinds = VIEWS if bench.v1 else {"base": VIEWS["base"]}
        sinks = {
            name: stack.enter_context(Sink(bench.tools, program.port, 1, symbol=SYMBOL, **view))
            for name, view in kinds.items()
        }
        for sink in sinks.values():
            sink.mark()
        time.sleep(SECONDS / 3 if bench.quick else SECONDS)
        reports = {name: sink.report() for name, sink in sinks.items()}
        plain = reports["base"]["update_bytes"] / reports["base"]["updates"]
        for name, report in reports.items():
            each = report["update_bytes"] / report["updates"]
            values = {"bytes": each, "percent": each / plain * 100}
            values["updates_s"] = report["updates"] / report["seconds"]
            marks = (
                [Mark("percent", "<=", LIMITS[levels])] if name == "v1 delta, compressed" else []
            )
            notes = []
            if "compressed" in name and not sinks[name].ready["deflate"]:
                notes.append("the server declined compression")
            rows.append(Row("e", f"{levels} levels a side, {name}", values, marks, notes))
    for name in list(VIEWS)[len(kinds) :]:
        rows.append(Row("e", f"{levels} levels a side, {name}", notes=["not in this version"]))
    return rows
