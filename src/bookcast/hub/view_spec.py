"""How a client wants a topic, and what renders it so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from bookcast.hub.status import Status
from bookcast.model.cursor import Cursor
from bookcast.model.history import Gap
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Update


class ViewSpec(NamedTuple):
    """How a client wants a topic. Clients with equal specs share every frame.

    Attributes:
        protocol: the protocol spoken, ``base`` or ``v1``.
        requested_symbol: the symbol as the client wrote it.
        depth: levels of a book on each side, None for all.
        delta: changes of a book, instead of whole ones.
        interval_ms: at most one message in so many milliseconds; 0 sends all.
        deflate: compressed, above a size.
        lossless: every update, within a bound, where others would get the newest.
        exclusive: for one client alone; 0 shares it.
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
    """Finished frames, the place they lead to, and how many updates they show or say are lost.

    ``gap``: what they say is lost.
    """

    frames: bytes
    cursor: Cursor | None
    updates: int
    gapped: int = 0
    gap: Gap | None = None


class Renderer(Protocol):
    """Makes finished frames. An empty one means that there is nothing to say in this view."""

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
        """Return the frame that refuses a topic, with the reason that the feed was given."""
