"""One way of showing one topic: each update is encoded and framed once for all who see it so."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from bookcast.model import Update


class ViewSpec(NamedTuple):
    """How a client wants a topic. Clients with equal specs share every frame.

    ``flavour`` is the protocol spoken, ``spelling`` the symbol as the client wrote it.
    """

    flavour: str
    spelling: str


class Outbox(Protocol):
    """What the hub needs of a connection's outgoing queue.

    ``frames`` wait for the next :meth:`flush`; ``write`` sends at once and returns None. While
    ``writable`` is False nothing is sent; ``conflated`` counts what this client will never see.
    """

    frames: list[bytes]
    writable: bool
    conflated: int
    write: Callable[[bytes], None]

    def put(self, frame: bytes) -> None:
        """Append a frame; a queue that grows long is flushed at once."""

    def flush(self) -> None:
        """Write all frames in one go."""


Render = Callable[[ViewSpec, Update], bytes]
"""Gives the finished frame that shows an update the way a spec asks for."""


class View:
    """The subscribers of one spec, and the state they were sent last (``emitted``).

    ``ready`` holds those who can take data, with their way to write; ``held`` those who can't, with
    what they were sent last.
    """

    __slots__ = ("_frame", "_render", "_rendered", "emitted", "held", "ready", "spec")

    def __init__(self, spec: ViewSpec, render: Render, emitted: Update | None) -> None:
        self.spec = spec
        self.ready: dict[Outbox, Callable[[bytes], None]] = {}
        self.held: dict[Outbox, Update | None] = {}
        self.emitted = emitted
        self._render = render
        self._rendered: Update | None = None
        self._frame = b""

    def emit(self, update: Update) -> bytes:
        """Make this update the state shown, and give its frame."""
        frame = self._frame_of(update)
        self.emitted = update
        return frame

    def last_frame(self) -> bytes | None:
        """Give the frame of the state shown, for a newcomer or one who fell behind."""
        return None if self.emitted is None else self._frame_of(self.emitted)

    def _frame_of(self, update: Update) -> bytes:
        if update is not self._rendered:
            self._frame = self._render(self.spec, update)
            self._rendered = update
        return self._frame
