"""(b) Small deltas of many symbols: over a million frames a second, joined into few writes."""

from __future__ import annotations

from dataclasses import dataclass

import server
from comparators import Comparator, everyone
from load import Publisher, Sink, subscribe_v1
from measure import Bench, attempt, deliver, floor_stretch
from rows import Mark, Row

TITLE = "Small deltas of many symbols to 200 clients"
CLIENTS, SAMPLES = 200, 10
BATCH_SECONDS = 0.005
"""The default of BATCH_MS, in seconds. The C loop joins the frames of this time too."""


COMPARED_RATE = 150.0
"""The rate of updates for the comparators, which can't deliver a million frames a second."""


@dataclass
class Case:
    """The number of symbols, how many each client subscribes to, and the rate of updates."""

    symbols: int
    pick: int
    rate: float
    marks: list[Mark]

    @property
    def name(self) -> str:
        """The case in words."""
        frames = self.rate * CLIENTS * self.pick / self.symbols
        which = "all" if self.pick == self.symbols else "random"
        return (
            f"{self.pick} {which} of {self.symbols:,} symbols, {self.rate:,.0f} updates/s: "
            f"{frames:,.0f} frames/s"
        )


MARKS = [Mark("lost", "<=", 0), Mark("us_frame", "<=", 0.6), Mark("p99", "<=", 10)]
CASES = [
    Case(50, 50, 5_000, MARKS),
    Case(50, 50, 15_000, [Mark("lost", "<=", 0)]),
    Case(1_000, 10, 5_000, [Mark("lost", "<=", 0), Mark("p99", "<=", 10)]),
]


def run(bench: Bench) -> list[Row]:
    """Measure each case, and the C loop with the load of the first one."""
    if not bench.socket:
        return [Row("b", case.name, notes=["not in this version"]) for case in CASES]
    rows = []
    for case in CASES:
        rows += attempt("b", case.name, lambda: _run(bench, case))
    size = rows[0].values.get("bytes", 250)
    joined = round(CASES[0].rate * BATCH_SECONDS)
    rows += _floor(bench, size, CASES[0].rate, joined)
    rows += _floor(bench, size, COMPARED_RATE, 1)
    for other in everyone():
        case = f"{other.name}, {COMPARED_RATE * CLIENTS:,.0f} frames/s"
        if other.start is None:
            rows.append(Row("b", other.name, notes=[other.missing]))
        else:
            rows += attempt("b", case, lambda: _theirs(bench, case, other))
    return rows


def _run(bench: Bench, case: Case) -> list[Row]:
    with (
        server.bookcast() as program,
        Sink(
            bench.tools,
            program.port,
            CLIENTS,
            symbols=case.symbols,
            pick=case.pick,
            protocol="bookcast.v1",
            subscribe=subscribe_v1(mode="delta"),
            samples=SAMPLES,
        ) as sink,
    ):
        publisher = Publisher(
            bench.tools, program.port, way="socket", symbols=case.symbols, window=2000
        )
        measured = deliver(
            program,
            sink,
            publisher,
            rate=case.rate,
            seconds=bench.seconds,
            frames_per_update=CLIENTS * case.pick / case.symbols,
        )
    return [Row("b", case.name, measured.values, case.marks, measured.notes)]


def _floor(bench: Bench, size: float, rate: float, join: int) -> list[Row]:
    case = f"C floor, {join} a send(), {rate * CLIENTS:,.0f} frames/s"
    floor = floor_stretch(
        bench, clients=CLIENTS, size=size, rate=rate / join, join=join, spin=False
    )
    return [Row("b", case, floor.values, [], floor.notes)]


def _theirs(bench: Bench, case: str, other: Comparator) -> list[Row]:
    assert other.start is not None
    receive = {"symbol": "US.AAPL", "samples": SAMPLES, **other.receive}
    with other.start() as program, Sink(bench.tools, program.port, CLIENTS, **receive) as sink:
        # Every client gets all symbols, so one channel suffices. A small book is as long as a
        # delta.
        publish = {"symbol": "US.AAPL", "levels": 2, **other.publish}
        measured = deliver(
            program,
            sink,
            Publisher(bench.tools, program.port, **publish),
            rate=COMPARED_RATE,
            seconds=bench.seconds,
            frames_per_update=CLIENTS,
        )
    return [Row("b", case, measured.values, [], measured.notes + list(filter(None, [other.note])))]
