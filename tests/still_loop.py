"""An event loop that runs what is ready, and lets no time pass: for tests that move the clock."""

from __future__ import annotations

import asyncio
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class _NothingElse:
    """Stands for the outside world: ends the loop's run when nothing in the process is ready."""

    def __init__(self, loop: StillLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        """Return nothing, at once."""
        if timeout is None or timeout > 0:
            self._loop.due = math.inf if timeout is None else self._loop.time() + timeout
            self._loop.stop()
        return []


class StillLoop(asyncio.BaseEventLoop):
    """A loop whose clock is another's. ``due``: when its next timer is, on that clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._selector = _NothingElse(self)
        self.due = math.inf

    def time(self) -> float:
        """Return the time of the clock, in seconds."""
        return self._clock()

    def settle(self) -> None:
        """Run what is ready, and what follows from it, until nothing is."""
        if self.is_running():
            return
        # The test itself may run in another loop, which stands still meanwhile.
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            self.run_forever()
        finally:
            asyncio._set_running_loop(outer)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Be the running loop while tasks are created, though it runs only in :meth:`settle`."""
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(outer)

    def end(self) -> None:
        """Cancel all that is under way."""
        for task in asyncio.all_tasks(self):
            task.cancel()
        self.settle()

    def begin(self, work: Any, _name: str = "") -> None:
        """Do something in the background; whatever it raises is the test's failure."""
        task = self.create_task(work)
        task.add_done_callback(_raise_fault)

    def _process_events(self, _events: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Do nothing: no other thread wakes this loop."""

    def __del__(self) -> None:
        """It holds nothing that has to be closed."""


def _raise_fault(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.result()
