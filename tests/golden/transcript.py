"""What a scenario's file says, line by line."""

from __future__ import annotations

import re
from typing import Final

_NAMED: Final = (
    (re.compile(r"issued\d{6}"), "S{}"),
    # The milliseconds of Redis, before it, tell apart what one call began or not, by chance.
    (re.compile(r"\b1\d{12}-([a-z]+-[0-9a-f]+-\d+)\b"), "E{}"),
    (re.compile(r"\bm-[0-9a-f]{8}\b"), "m-{}"),
    (re.compile(r"(?<=127\.0\.0\.1:)\d+"), "port-{}"),
    (re.compile(r"(?<='127\.0\.0\.1', )\d+"), "port-{}"),
)
"""What can't be the same each time, and its name: a session's token, an epoch of Redis, of memory,
the port of Redis. Where there is a group, it stands for all of it."""


class Transcript:
    """Notes what happens, step by step. Within a step it lists client by client."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._step: dict[str, list[str]] = {}
        self._writes: dict[str, list[int]] = {}
        self._names: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def begin(self, name: str) -> None:
        """Keep a place for a client; they are listed in the order in which they came."""
        assert name not in self._step, "each connection has a name of its own"
        self._step[name], self._writes[name] = [], []

    def say(self, comment: str) -> None:
        """Note what the script does, which begins a step."""
        self._begin_step(f"# {comment}")

    def act(self, name: str, what: str) -> None:
        """Note what the script has a client do, which begins a step."""
        self._begin_step(f"> {name} {what}")

    def _begin_step(self, line: str) -> None:
        self.end_step()
        self._lines.append(line)

    def add(self, name: str, line: str) -> None:
        """Record what one client is sent, or answers automatically."""
        self._step[name].append(line)

    def add_write(self, name: str, frames: int) -> None:
        """Note how many frames one write had."""
        self._writes[name].append(frames)

    def end_step(self) -> None:
        """List what came since the last step."""
        for lines in self._step.values():
            self._lines += lines
            lines.clear()

    def text(self) -> str:
        """Return the file."""
        self.end_step()
        return "".join(f"{self._named(line)}\n" for line in self._lines)

    def writes(self) -> str:
        """Return how many frames each write to each client had."""
        return "".join(
            f"{name} {' '.join(map(str, all_))}\n" for name, all_ in self._writes.items()
        )

    def _named(self, line: str) -> str:
        for pattern, form in _NAMED:
            parts, end = [], 0
            for found in pattern.finditer(line):
                parts += [line[end : found.start()], self._name(found[found.lastindex or 0], form)]
                end = found.end()
            line = "".join([*parts, line[end:]])
        return line

    def _name(self, value: str, form: str) -> str:
        if value not in self._names:
            self._counts[form] = self._counts.get(form, 0) + 1
            self._names[value] = form.format(self._counts[form])
        return self._names[value]
