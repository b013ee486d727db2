"""(f) A symbol that changes 1,000 times a second, for clients with an interval of 100 ms."""

from __future__ import annotations

import server
from load import Publisher, Sink, subscribe_v1
from measure import Bench, Stretch, deliver, floor_stretch
from rows import Mark, Row

TITLE = "500 clients at interval_ms 100 on a symbol updated 1,000 times a second"
CLIENTS, RATE, SAMPLES = 500, 1_000.0, 10
SYMBOL = "US.AAPL"


def run(bench: Bench) -> list[Row]:
    """Measure publishing alone, then the fan-out with and without the interval."""
    cases = ("publishing alone", "all updates", "interval_ms 100")
    if not bench.socket:
        return [Row("f", case, notes=["not in this version"]) for case in cases]
    alone = _run(bench, 1, symbol="US.OTHER")
    every = _run(bench, CLIENTS, symbol=SYMBOL)
    paced = _run(bench, CLIENTS, symbol=SYMBOL, interval_ms=100)
    # The kernel's cost of as many single sends, each with a cold cache.
    floor = floor_stretch(
        bench, clients=CLIENTS, size=every.values["bytes"], rate=10, join=1, spin=False
    )
    fan_out = every.server_cpu - alone.server_cpu
    paced.values["percent"] = (paced.server_cpu - alone.server_cpu) / fan_out * 100
    floor.values["percent"] = floor.server_cpu / fan_out * 100
    for stretch in (alone, paced):
        stretch.values.pop("us_frame", None)  # mostly the cost of publishing
    alone.values.pop("frames_s")
    return [
        Row("f", cases[0], alone.values, [], alone.notes),
        Row("f", cases[1], every.values, [], every.notes),
        Row("f", cases[2], paced.values, [Mark("percent", "<=", 5)], paced.notes),
        Row("f", "C floor, 10 sends/s to each", floor.values, [], floor.notes),
    ]


def _run(bench: Bench, clients: int, *, symbol: str, **view: object) -> Stretch:
    with (
        server.bookcast() as program,
        Sink(
            bench.tools,
            program.port,
            clients,
            symbol=symbol,
            samples=min(SAMPLES, clients),
            protocol="bookcast.v1",
            subscribe=subscribe_v1(mode="full", **view),
        ) as sink,
    ):
        publisher = Publisher(bench.tools, program.port, way="socket", symbol=SYMBOL, shape="pairs")
        unconflated = symbol == SYMBOL and not view
        return deliver(
            program,
            sink,
            publisher,
            rate=RATE,
            seconds=bench.seconds,
            frames_per_update=clients if unconflated else None,
        )
