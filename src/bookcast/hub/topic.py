"""What the hub knows of one wanted topic: what was sent last, what waits, and the views of it."""

from __future__ import annotations

from typing import Final

from bookcast.hub.view import Render, View, ViewSpec
from bookcast.model import Update

MAX_WAITING: Final = 16
"""So many updates of one topic go out in one flush; past that, the newest takes the last place."""


class LiveTopic:
    """A topic that somebody on this node wants."""

    __slots__ = ("emitted", "views", "waiting")

    def __init__(self) -> None:
        self.emitted: Update | None = None
        self.waiting: list[Update] = []
        self.views: dict[ViewSpec, View] = {}

    def add(self, update: Update) -> int:
        """Let an update wait for the next flush; give how many updates it displaced."""
        if len(self.waiting) < MAX_WAITING:
            self.waiting.append(update)
            return 0
        self.waiting[-1] = update
        return 1

    def take(self) -> list[Update]:
        """Give what waits, oldest first, and note the last of it as emitted."""
        updates, self.waiting = self.waiting, []
        if updates:
            self.emitted = updates[-1]
        return updates

    def view(self, spec: ViewSpec, render: Render) -> View:
        """Give the view of a spec, made when there is none."""
        view = self.views.get(spec)
        if view is None:
            view = self.views[spec] = View(spec, render, self.emitted)
        return view

    def subscriber_count(self) -> int:
        """Count the subscribers of all views."""
        return sum(len(view.ready) + len(view.held) for view in self.views.values())
