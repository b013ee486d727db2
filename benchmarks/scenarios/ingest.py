"""(g) The maximum rate of publications by each way to publish, without subscribers."""

from __future__ import annotations

import machine
import server
from load import Publisher
from measure import DISTURBED, SATURATED, Bench, Stretch, attempt, undisturbed
from rows import Mark, Row

TITLE = "Ingest, flat out"
SYMBOLS = 50
WAYS: dict[str, tuple[dict[str, object], int]] = {
    # name: how it is published, and the required rate
    "HTTP, one update a request, 8 connections": ({"way": "http", "connections": 8}, 3_000),
    "HTTP, 50 updates a request, 2 connections": (
        {"way": "batch", "batch": 50, "connections": 2},
        30_000,
    ),
    "WebSocket, one connection": ({"way": "socket", "window": 1000}, 30_000),
}


def run(bench: Bench) -> list[Row]:
    """Measure each way to publish."""
    rows = []
    for name, (how, mark) in WAYS.items():
        there = {"http": True, "batch": bench.batch, "socket": bench.socket}[str(how["way"])]
        if there:
            rows += attempt("g", name, lambda: _run(bench, name, how, mark))
        else:
            rows.append(Row("g", name, notes=["not in this version"]))
    return rows


def _run(bench: Bench, name: str, how: dict[str, object], mark: int) -> list[Row]:
    with server.bookcast() as program:
        publisher = Publisher(bench.tools, program.port, symbols=SYMBOLS, **how)
        warm_up = publisher.publish(mark)  # to estimate the count for the duration
        count = round(mark / warm_up["seconds"] * bench.seconds)
        taken = undisturbed(lambda: _flat_out(program, publisher, count))
    return [Row("g", name, taken.values, [Mark("updates_s", ">=", mark)], taken.notes)]


def _flat_out(program: server.Program, publisher: Publisher, count: int) -> Stretch:
    machine.wait_for_quiet()
    others = machine.Others()
    cpu = program.cpu_seconds()
    sent = publisher.publish(count)
    used = program.cpu_seconds() - cpu
    notes = [DISTURBED] if others.cores() > machine.QUIET else []
    if sent["cpu"] / sent["seconds"] > SATURATED:
        notes.append("the publisher was saturated")
    values = {
        "updates_s": sent["accepted"] / sent["seconds"],
        "us_update": used / sent["accepted"] * 1e6,
        "server_core": used / sent["seconds"] * 100,
        "lost": count - sent["accepted"],
    }
    return Stretch(values, notes, used)
