"""(d) Scenario (a)'s load while 5 % of the clients stop reading: others mustn't be affected."""

from __future__ import annotations

import server
from load import PROTOCOLS, Publisher, Sink
from measure import Bench, Stretch, attempt, deliver
from rows import Mark, Row
from scenarios.fanout import BOOKS, RATE, SYMBOL

TITLE = "500 clients of whom 5 % stop reading"
CLIENTS, STALLED, SAMPLES = 500, 25, 25
MAX_OUTBOX_KB = 1024
WINDOWS = 3
"""Stretches before and after the stall. Together they send more than an outbox may hold."""


def run(bench: Bench) -> list[Row]:
    """Measure before and after the stall, on the same server."""
    rows = []
    for protocol in ("base", "v1"):
        if protocol == "v1" and not bench.v1:
            rows.append(Row("d", protocol, notes=["not in this version"]))
        else:
            rows += attempt("d", protocol, lambda: _run(bench, protocol))
    return rows


def _run(bench: Bench, protocol: str) -> list[Row]:
    way = "socket" if bench.socket else "http"
    measured = []
    with (
        server.bookcast(slow_timeout=600) as program,
        Sink(
            bench.tools,
            program.port,
            CLIENTS,
            symbol=SYMBOL,
            samples=SAMPLES,
            stall=STALLED,
            spin=True,
            **PROTOCOLS[protocol],
        ) as sink,
    ):
        publisher = Publisher(bench.tools, program.port, way=way, symbol=SYMBOL, **BOOKS[protocol])
        for stalled in (False, True):
            before = program.rss_kb()
            if stalled:
                sink.stall()
            windows = [_window(bench, program, sink, publisher) for _ in range(WINDOWS)]
            # The median one, since other processes easily affect the worst 1 % of latencies.
            middle = sorted(windows, key=lambda window: window.values["p99"])[WINDOWS // 2]
            middle.values["lost"] = sum(window.values["lost"] for window in windows)
            middle.values["rss_growth"] = program.rss_kb() - before
            measured.append(middle)
    reading, stalled = measured
    for stretch in measured:
        del stretch.values["us_frame"]  # it counts only clients that read: not comparable
    stalled.values["p99_growth"] = (stalled.values["p99"] / reading.values["p99"] - 1) * 100
    marks = [
        Mark("p99_growth", "<", 20),
        Mark("rss_growth", "<", MAX_OUTBOX_KB * STALLED),
        Mark("lost", "<=", 0),
    ]
    return [
        Row("d", f"{protocol}, all read", reading.values, [], reading.notes),
        Row("d", f"{protocol}, {STALLED} have stopped", stalled.values, marks, stalled.notes),
    ]


def _window(bench: Bench, program: server.Program, sink: Sink, publisher: Publisher) -> Stretch:
    return deliver(
        program,
        sink,
        publisher,
        rate=RATE,
        seconds=bench.seconds,
        frames_per_update=CLIENTS - STALLED,
    )
