"""How a client sees a topic, and what renders the topic in that way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from bookcast.hub.status import Status
from bookcast.model.cursor import Cursor
from bookcast.model.history import Gap
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Update


class ViewSpec(NamedTuple):
    """How a client sees a topic. Clients with equal specs share every frame.

    Attributes:
        protocol: the client's protocol, ``base`` or ``v1``.
        requested_symbol: the symbol as the client wrote it.
        depth: levels of a book on each side; None for all.
        delta: send deltas of a book instead of whole ones.
        interval_ms: at most one message in this many milliseconds; 0 sends all.
        deflate: compress frames above a size.
        lossless: send every update, within a bound, instead of only the newest.
        exclusive: a number that makes the view one client's alone; 0: the view is shared.
    """

    protocol: str
    requested_symbol: str
    depth: int | None = None
    delta: bool = False
    interval_ms: int = 0
    deflate: bool = False
    lossless: bool = False
    exclusive: int = 0


class RenderedStep(NamedTuple):
    """Finished frames, and the place where a client stands after them.

    Attributes:
        cursor: that place.
        updates: number of updates that the frames contain.
        gapped: number of updates that the frames announce as lost.
        gap: the gap that they announce.
    """

    frames: bytes
    cursor: Cursor | None
    updates: int
    gapped: int = 0
    gap: Gap | None = None


class Renderer(Protocol):
    """Makes finished frames. An empty frame means that this view shows nothing of it."""

    def updates(
        self,
        spec: ViewSpec,
        before: Cursor | None,
        updates: Sequence[Update],
        *,
        unchanged_too: bool = False,
    ) -> RenderedStep:
        """Return the frames that show updates to clients who stand at ``before``.

        An update that changes nothing in the view is left out, unless ``unchanged_too``.
        """

    def gap(self, spec: ViewSpec, topic: Topic, gap: Gap) -> bytes:
        """Return the frame that announces lost updates."""

    def status(self, spec: ViewSpec, topic: Topic, status: Status) -> bytes:
        """Return the frame with the status of a topic."""

    def refusal(
        self, spec: ViewSpec, topic: Topic, reason: str, did_you_mean: Sequence[Symbol]
    ) -> bytes:
        """Return the frame that says that the feed can't get a topic, with the reason."""
