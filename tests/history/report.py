"""Describes the result of a run in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.history import measures
from tests.history.run import Result

SHOWN = 100
"""So many violations are shown."""


def describe(result: Result) -> str:
    """Return the result of a run as text: faults, counts, times, and the verdict."""
    return "\n".join(_lines(result))


def _lines(result: Result) -> Iterator[str]:
    history, verdict = result.history, result.verdict
    yield f"\nmodes: {', '.join(sorted(history.modes)) or 'none'}"
    yield "\nfaults"
    for fault in history.faults:
        yield f"  {fault.at:8.3f}-{fault.until:.3f}  {fault.what}  {fault.node}"
    yield "\ncounts"
    for name, value in measures.counts(history).items():
        yield f"  {name}: {value}"
    yield f"  gaps: {verdict.gaps}"
    yield ""
    yield from _times(result)
    excused = Counter(one.kind for one in verdict.excused)
    yield f"\nexcused by faults: {dict(excused)}"
    for one in [one for one in verdict.excused if not one.kind.startswith("gap")][:20]:
        yield f"  {one}"
    yield f"\ntroubles in the nodes' logs: {len(result.troubles)}"
    for line in result.troubles[:20]:
        yield f"  {line}"
    kinds = Counter(one.kind for one in verdict.violations)
    yield f"\nviolations: {len(verdict.violations)} {dict(kinds) if kinds else ''}"
    for one in verdict.violations[:SHOWN]:
        yield f"  {one}"
    yield f"\nseed {history.seed}: {'well' if result.is_well else 'NOT WELL'}"


def _times(result: Result) -> Iterator[str]:
    history = result.history
    found = measures.delays(history)
    shown = ", ".join(
        f"{name} {measures.percentile(found, part) * 1000:.1f}"
        for name, part in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("most", 1.0))
    )
    yield f"from a publisher to a client, ms: {shown}"
    for kind in ("node killed", "worker killed", "node paused", "node drained"):
        lost = measures.outages(history, [kind])
        without = sorted(one.without for one in lost if one.without is not None)
        if lost:
            yield (
                f"clients without data after '{kind}', apart from their own waits: "
                f"{len(lost)} losses, median {measures.percentile(without, 0.5):.3f} s, "
                f"most {measures.percentile(without, 1.0):.3f} s, {len(lost) - len(without)} never"
            )
    if result.converged_in is None:
        yield "not all clients had the last of everything in the end"
    else:
        yield f"all clients had the last of everything after: {result.converged_in:.3f} s"
