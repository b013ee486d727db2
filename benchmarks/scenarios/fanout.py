"""(a) One book of about 1 KB, 100 times a second, to 500 clients; compared with a C loop."""

from __future__ import annotations

from itertools import product

import server
from comparators import Comparator, everyone
from load import PROTOCOLS, Publisher, Sink
from measure import Bench, Stretch, attempt, deliver, floor_stretch
from rows import Mark, Row

TITLE = "One book of 1 KB, 100 times a second, to 500 clients"
CLIENTS, RATE, SAMPLES = 500, 100.0, 20
SYMBOL = "US.AAPL"
BOOKS = {
    # Levels and shape for messages of about 1 KB.
    "base": {"levels": 10, "shape": "objects"},
    "v1": {"levels": 25, "shape": "triples"},
}
RECEIVERS = {True: "receivers spin", False: "receivers sleep"}


def run(bench: Bench) -> list[Row]:
    """Measure both protocols, ways to publish and kinds of receivers; then the comparators."""
    rows = []
    for protocol, way, spin in product(("base", "v1"), ("http", "socket"), (True, False)):
        case = f"{protocol}, by {way}, {RECEIVERS[spin]}"
        if (protocol == "v1" and not bench.v1) or (way == "socket" and not bench.socket):
            rows.append(Row("a", case, notes=["not in this version"]))
        else:
            rows += attempt("a", case, lambda: _ours(bench, case, protocol, way, spin=spin))
    for spin, receivers in RECEIVERS.items():
        floor = _floor(bench, 1000, spin=spin)
        rows.append(Row("a", f"C floor, {receivers}", floor.values, [], floor.notes))
    for other in everyone():
        case = f"{other.name}, {RECEIVERS[True]}"
        if other.start is None:
            rows.append(Row("a", other.name, notes=[other.missing]))
        else:
            rows += attempt("a", case, lambda: _theirs(bench, case, other))
    return rows


def _ours(bench: Bench, case: str, protocol: str, way: str, *, spin: bool) -> list[Row]:
    with server.bookcast() as program:
        receive = {**PROTOCOLS[protocol], "spin": spin}
        publish = {"way": way, **BOOKS[protocol]}
        ours = _deliver(bench, program, receive, publish)
    return [_beside_floor(bench, case, ours, [Mark("ratio", "<=", 1.2)], spin=spin)]


def _theirs(bench: Bench, case: str, other: Comparator) -> list[Row]:
    assert other.start is not None
    with other.start() as program:
        receive = {**other.receive, "spin": True}
        theirs = _deliver(bench, program, receive, {**BOOKS["base"], **other.publish})
    theirs.notes += filter(None, [other.note])
    return [_beside_floor(bench, case, theirs, [], spin=True)]


def _deliver(
    bench: Bench, program: server.Program, receive: dict[str, object], publish: dict[str, object]
) -> Stretch:
    publisher = Publisher(bench.tools, program.port, symbol=SYMBOL, **publish)
    shape = {"symbol": SYMBOL, "samples": SAMPLES, **receive}
    with Sink(bench.tools, program.port, CLIENTS, **shape) as sink:
        return deliver(
            program,
            sink,
            publisher,
            rate=RATE,
            seconds=bench.seconds,
            frames_per_update=CLIENTS,
        )


def _beside_floor(
    bench: Bench, case: str, measured: Stretch, marks: list[Mark], *, spin: bool
) -> Row:
    # The floor is measured right after it, since the speed of a shared machine varies.
    floor = _floor(bench, measured.values["bytes"], spin=spin)
    measured.values["ratio"] = measured.values["us_frame"] / floor.values["us_frame"]
    return Row("a", case, measured.values, marks, measured.notes)


def _floor(bench: Bench, size: float, *, spin: bool) -> Stretch:
    return floor_stretch(bench, clients=CLIENTS, size=size, rate=RATE, join=1, spin=spin)
