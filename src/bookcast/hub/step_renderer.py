"""Renders a step of a view: the frames that take clients from one place to a newer one."""

from __future__ import annotations

from functools import partial
from itertools import takewhile

from bookcast.hub.topic import LiveTopic
from bookcast.hub.view import View
from bookcast.hub.view_spec import RenderedStep, Renderer, ViewSpec
from bookcast.model.cursor import Cursor
from bookcast.model.history import Gap
from bookcast.model.topic_log import Step
from bookcast.model.topics import Topic
from bookcast.model.updates import Update


class StepRenderer:
    """Renders steps with their gaps, and bounds what a lagging client is sent at once.

    Args:
        renderer: makes finished frames.
        max_queue_bytes: bound of what a lagging client is sent at once when it catches up.
    """

    def __init__(self, renderer: Renderer, max_queue_bytes: int) -> None:
        self._renderer = renderer
        self._max_queue_bytes = max_queue_bytes

    def render(
        self,
        topic: Topic,
        spec: ViewSpec,
        before: Cursor | None,
        step: Step,
        *,
        unchanged_too: bool = False,
    ) -> RenderedStep:
        """Return the frames of a step that begins at ``before``, with its gap in its place.

        An update that changes nothing in the view is left out, unless ``unchanged_too``.
        """
        gap, updates = step
        if gap is None:
            return self._renderer.updates(spec, before, updates, unchanged_too=unchanged_too)
        render = partial(self._renderer.updates, spec, unchanged_too=unchanged_too)
        count = gap.to_seq - gap.from_seq + 1 if gap.to_seq and gap.from_seq else 0
        word = self._renderer.gap(spec, topic, gap)
        # Final candles of the epoch before come before the gap that ends that epoch.
        earlier = list(takewhile(lambda one: one.position.epoch != gap.epoch, updates))
        first = render(before, earlier)
        rest = render(first.cursor, updates[len(earlier) :])
        shown = first.updates + rest.updates
        return RenderedStep(first.frames + word + rest.frames, rest.cursor, shown, count, gap)

    def between(
        self, live: LiveTopic, view: View, last: Cursor | None, newest: Update
    ) -> RenderedStep:
        """Return the frames that take a lagging client from ``last`` to the newest update."""
        step = live.catch_up(view.spec, last, newest)
        # Render even if nothing changed in the end: the client's position has changed.
        shown = self.render(live.topic, view.spec, last, step, unchanged_too=True)
        updates = step.updates
        while len(shown.frames) > self._max_queue_bytes and len(updates) > 1:
            # More bytes than may wait for one client: send a gap, and the newest that fit.
            fitting = len(updates) * self._max_queue_bytes // len(shown.frames)
            kept = max(1, min(len(updates) - 1, fitting))
            lost, updates = updates[-kept - 1].position, updates[-kept:]
            first = step.updates[0].position.seq
            if step.gap is not None and step.gap.from_seq is not None:
                first = step.gap.from_seq
            elif last is not None and last.position.epoch == lost.epoch:
                first = last.position.seq + 1
            gap = Gap(lost.epoch, first, lost.seq, "overflow")
            shown = self.render(live.topic, view.spec, last, Step(gap, updates), unchanged_too=True)
        return shown
