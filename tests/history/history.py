"""A history: what publishers tried, what clients sent and received, and the faults meanwhile.

Times are seconds since the run began, by one clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from tests.history.modes import Mode

Outcome = Literal["ok", "failed", "unknown"]
"""Published; certainly not published; nobody knows."""

Happening = Literal[
    "opened",
    "heard",
    "said",
    "lost",
    "refused",
    "waits",
    "resubscribed",
    "token",
    "renewed",
    "stopped",
]
"""Of a client: a connection, a message, its end; a handshake that failed; a wait before the next
attempt; giving up on its session; a token in the handshake, or in a message; the end of the run.
Of a token, ``seconds`` is when it expires; ``detail`` names its symbols, unless it is for all."""

LOSSES_OF_REDIS = frozenset({"redis killed, empty", "redis failed over"})
"""Those after which Redis has forgotten something."""

FAULTS_OF_REDIS = LOSSES_OF_REDIS | {"redis killed, kept", "redis paused"}
FAULTS_OF_LINKS = frozenset({"link cut", "link stalled"})
"""Those that keep a node from Redis for a time. That it is slow, or that nodes aren't told what it
has, is no reason to lose anything."""


LOCAL = "local-"
"""What the epochs begin with that a node gives by itself while Redis is away."""


class Attempt(msgspec.Struct, omit_defaults=True):
    """One publication that was tried. ``number``: of a book or candle; ``id``: of a trade.

    ``final``: it comes after all faults, and all clients have to get it. ``entitled``: its
    publisher has the right to it.
    """

    who: str
    topic: str
    began: float
    ended: float
    outcome: Outcome
    number: int = 0
    id: str = ""
    via: str = ""
    epoch: str = ""
    seq: int = 0
    detail: str = ""
    final: bool = False
    entitled: bool = True


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened to a client. ``node``: whom it is connected to."""

    at: float
    what: Happening
    message: msgspec.Raw = msgspec.Raw()
    detail: str = ""
    node: str = ""
    seconds: float = 0.0
    code: int = 0


class Track(msgspec.Struct):
    """All that happened to one client. ``topics``: those it asked for, as ``channel:symbol``."""

    name: str
    protocol: Literal["base", "v1"]
    topics: list[str]
    events: list[Event] = []
    depth: int | None = None


class Fault(msgspec.Struct):
    """Something that was broken for a time."""

    what: str
    at: float
    until: float
    node: str = ""


class History(msgspec.Struct):
    """A run. ``healed``: when the last fault was over; ``modes``: see :mod:`.modes`."""

    seed: int
    attempts: list[Attempt] = []
    tracks: list[Track] = []
    faults: list[Fault] = []
    healed: float = 0.0
    modes: frozenset[Mode] = frozenset()

    def lines(self) -> Iterator[bytes]:
        """Write it as lines of JSON: all that was tried, then the faults, then each client."""
        encode = msgspec.json.encode
        yield encode({"seed": self.seed, "healed": self.healed, "modes": sorted(self.modes)})
        for attempt in self.attempts:
            yield encode({"attempt": attempt})
        for fault in self.faults:
            yield encode({"fault": fault})
        for track in self.tracks:
            about = {"client": track.name, "protocol": track.protocol, "topics": track.topics}
            yield encode({**about, "depth": track.depth})
            for event in track.events:
                shown = {name: value for name, value in _fields(event).items() if value}
                yield encode({"client": track.name, **shown})

    def write(self, path: Path) -> None:
        """Write it into a file."""
        with path.open("wb") as file:
            file.writelines(line + b"\n" for line in self.lines())


def _fields(event: Event) -> dict[str, Any]:
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    if not bytes(event.message):
        del fields["message"]
    return fields
