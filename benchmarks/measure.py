"""One measured stretch: warm up, publish at a rate, wait until all has arrived, calculate."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import machine
import server
from load import Publisher, Sink, Tools, floor
from rows import Row

SATURATED = 0.9
"""If the load's core is busier than this, the load is measured instead of the server."""

DISTURBED = "others used the machine meanwhile"
TRIES = 3
"""The maximum number of attempts to measure undisturbed."""


@dataclass
class Bench:
    """The parameters of all scenarios: the tools, the durations, the server's features."""

    tools: Tools
    seconds: float
    quick: bool
    v1: bool
    socket: bool
    """Whether books can be published over the WebSocket."""
    batch: bool
    """Whether several books can be published in one HTTP request."""


@dataclass
class Stretch:
    """The results of one stretch, by the names of ``rows.COLUMNS``, and notes about it."""

    values: dict[str, float]
    notes: list[str]
    server_cpu: float
    """The CPU time of the server, in seconds."""


def deliver(
    program: server.Program,
    sink: Sink,
    publisher: Publisher,
    *,
    rate: float,
    seconds: float,
    frames_per_update: float | None,
    warm_up: float = 1.0,
) -> Stretch:
    """Publish at a steady rate, and measure CPU and latency.

    ``frames_per_update``: the expected number of frames per update; None if it is unknown.
    """
    if warm_up:
        publisher.publish(round(rate * warm_up), rate)
        sink.settle()
    return undisturbed(lambda: _deliver(program, sink, publisher, rate, seconds, frames_per_update))


def undisturbed(measurement: Callable[[], Stretch]) -> Stretch:
    """Repeat a measurement that other processes disturbed, :data:`TRIES` times at most."""
    stretch = measurement()
    for _ in range(TRIES - 1):
        if DISTURBED not in stretch.notes or not machine.PATIENCE:
            break
        stretch = measurement()
    return stretch


def _deliver(
    program: server.Program,
    sink: Sink,
    publisher: Publisher,
    rate: float,
    seconds: float,
    frames_per_update: float | None,
) -> Stretch:
    machine.wait_for_quiet()
    conflated = server.conflated(program.port)
    others = machine.Others()
    cpu = program.cpu_seconds()
    sink.mark()
    sent = publisher.publish(round(rate * seconds), rate)
    used = program.cpu_seconds() - cpu
    foreign = others.cores()
    report = sink.settle()
    notes = _remarks(report, sent, rate, foreign)
    values = {
        "frames_s": report["updates"] / sent["seconds"],
        "server_core": used / sent["seconds"] * 100,
    }
    if report["updates"]:
        values["us_frame"] = used / report["updates"] * 1e6
        values["bytes"] = report["update_bytes"] / (report["updates"] + report["stalled_updates"])
    if report["samples"]:
        values |= {name: report[name] for name in ("p50", "p99", "p999")}
    if frames_per_update is not None:
        values["lost"] = sent["published"] * frames_per_update - report["updates"]
        if values["lost"]:
            conflated = server.conflated(program.port) - conflated
            notes.append(f"newer frames replaced {conflated:,} of the lost, the server says")
    return Stretch(values, notes, used)


def floor_stretch(
    bench: Bench, *, clients: int, size: float, rate: float, join: int, spin: bool
) -> Stretch:
    """Measure the plain C loop in the same way."""
    return undisturbed(lambda: _floor(bench, clients, size, rate, join, spin=spin))


def _floor(
    bench: Bench, clients: int, size: float, rate: float, join: int, *, spin: bool
) -> Stretch:
    machine.wait_for_quiet()
    others = machine.Others()
    sent, report = floor(
        bench.tools,
        clients=clients,
        size=size,
        rate=rate,
        seconds=bench.seconds,
        join=join,
        spin=spin,
    )
    values = {
        "frames_s": sent["sent"] / sent["seconds"],
        "us_frame": sent["cpu"] / sent["sent"] * 1e6,
        "bytes": float(round(size)),
        "server_core": sent["cpu"] / sent["seconds"] * 100,
        "lost": sent["sent"] - report["updates"],
    }
    values |= {name: report[name] for name in ("p50", "p99", "p999")}
    notes = _remarks(report, {"cpu": 0, "seconds": sent["seconds"]}, 0, others.cores())
    return Stretch(values, notes, sent["cpu"])


def attempt(scenario: str, case: str, measurement: Callable[[], list[Row]]) -> list[Row]:
    """Return the rows of a measurement. If it fails, return a row with the error."""
    try:
        return measurement()
    except (RuntimeError, AssertionError, OSError, subprocess.SubprocessError) as error:
        # Some errors have no text, so the name of their class is shown too.
        what = " ".join(f"{type(error).__name__} {error}".split())
        return [Row(scenario, case, notes=[f"FAILED: {what}"])]


def _remarks(report: dict, sent: dict, rate: float, foreign: float) -> list[str]:
    notes = []
    load = (report["busy"] + sent["cpu"]) / sent["seconds"]
    if load > SATURATED:
        notes.append(
            "the load's core was saturated: figures are the load's as much as the server's"
        )
    if rate and sent["published"] / sent["seconds"] < 0.97 * rate:
        notes.append("the publisher could not keep up the rate")
    if foreign > machine.QUIET:
        notes.append(DISTURBED)
    for what in ("errors", "gaps", "closed"):
        if report[what]:
            notes.append(f"{what}: {report[what]} (close code {report['close_code']})")
    if report["breaks"]:
        notes.append(f"prev_seq didn't continue {report['breaks']} times")
    return notes
