"""The results: rows, medians of several runs, marks, and tables as text or Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

COLUMNS = {
    # name: (title, format)
    "updates_s": ("updates/s", ",.0f"),
    "frames_s": ("frames/s", ",.0f"),
    "us_frame": ("CPU µs/frame", ".2f"),
    "us_update": ("CPU µs/update", ".1f"),
    "ratio": ("× C floor", ".2f"),
    "p50": ("p50 ms", ".2f"),
    "p99": ("p99 ms", ".2f"),
    "p999": ("p99.9 ms", ".2f"),
    "added_p50": ("added p50 ms", ".2f"),
    "added_p99": ("added p99 ms", ".2f"),
    "p99_growth": ("p99 growth %", "+.0f"),
    "rss_kb": ("RSS KB/conn", ".1f"),
    "rss_growth": ("RSS growth KB", ",.0f"),
    "bytes": ("bytes/update", ",.0f"),
    "percent": ("% of reference", ".1f"),
    "server_core": ("server core %", ".0f"),
    "seconds": ("seconds", ".1f"),
    "us_client": ("CPU µs/client", ",.0f"),
    "lost": ("lost", ",.0f"),
    "twice": ("wrong", ",.0f"),
}


@dataclass
class Mark:
    """A limit for a column of a row."""

    column: str
    way: Literal["<=", ">=", "<"]
    limit: float

    def judge(self, values: dict[str, float]) -> str:
        """Return a remark on whether the values keep the limit; "" if the column is missing."""
        title = COLUMNS[self.column][0]
        sign = {"<=": "≤", ">=": "≥", "<": "<"}[self.way]
        value = values.get(self.column)
        if value is None:
            return ""
        kept = {
            "<=": value <= self.limit,
            ">=": value >= self.limit,
            "<": value < self.limit,
        }[self.way]
        return f"{'ok' if kept else 'MISSED'}: {title} {sign} {self.limit:,g}"


@dataclass
class Row:
    """One case of a scenario. ``values``: by the names of COLUMNS."""

    scenario: str
    case: str
    values: dict[str, float] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def remarks(self) -> str:
        """Return marks and notes in one text."""
        return "; ".join([*filter(None, (m.judge(self.values) for m in self.marks)), *self.notes])


def merge(runs: Iterable[Row]) -> list[Row]:
    """Return one row per case: medians, the sum of lost frames, each note once."""
    cases: dict[tuple[str, str], list[Row]] = {}
    for row in runs:
        cases.setdefault((row.scenario, row.case), []).append(row)
    merged = []
    for (scenario, case), rows in cases.items():
        names = dict.fromkeys(name for row in rows for name in row.values)
        values = {name: [row.values[name] for row in rows if name in row.values] for name in names}
        merged.append(
            Row(
                scenario,
                case,
                {n: sum(v) if n == "lost" else statistics.median(v) for n, v in values.items()},
                rows[0].marks,
                _counted([note for row in rows for note in dict.fromkeys(row.notes)], len(rows)),
            )
        )
    return merged


def _counted(notes: list[str], runs: int) -> list[str]:
    return [
        note if notes.count(note) == runs else f"{note} (in {notes.count(note)} of {runs} runs)"
        for note in dict.fromkeys(notes)
    ]


def table(rows: list[Row], *, markdown: bool) -> str:
    """Return the rows as a table, with the columns that any of them has."""
    columns = [name for name in COLUMNS if any(name in row.values for row in rows)]
    cells = [["", *(COLUMNS[name][0] for name in columns), "marks and remarks"]]
    for row in rows:
        shown = [
            format(row.values[name], COLUMNS[name][1]) if name in row.values else ""
            for name in columns
        ]
        cells.append([row.case, *shown, row.remarks()])
    if markdown:
        lines = ["| " + " | ".join(line) + " |" for line in cells]
        lines.insert(1, "|---" + "|---:" * len(columns) + "|---|")
        return "\n".join(lines)
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in {0, len(line) - 1} else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    )
