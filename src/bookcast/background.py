"""Background work: tasks whose errors are logged, and which are cancelled at the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from inspect import isawaitable
from typing import Any

logger = logging.getLogger(__name__)


Seconds = float | Callable[[], float]
"""An interval; a function where it changes."""


class BackgroundTasks:
    """Tasks that nobody awaits. It keeps a reference to each until it is done."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def begin(self, work: Coroutine[Any, Any, object], name: str) -> None:
        """Run a coroutine as a task. ``name``: its name in the log."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    async def end(self, patience: float = 0.0) -> None:
        """Cancel all tasks that are still running after ``patience`` seconds."""
        tasks = self._tasks - {asyncio.current_task()}
        if tasks and patience:
            _, tasks = await asyncio.wait(tasks, timeout=patience)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _finish(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("%s met a fault of ours", task.get_name(), exc_info=error)


class Periodic:
    """Runs a function at an interval, and sooner when it is triggered.

    An exception of the function is logged, and doesn't end the runs.

    Args:
        function: the function. If it returns an awaitable, that is awaited before the next run.
        seconds: the interval from the end of a run to the next one; a function if it changes.
        name: the name in the log.
        first: the time from the start to the first run, where it differs.
    """

    def __init__(
        self,
        function: Callable[[], object],
        seconds: Seconds,
        name: str,
        first: float | None = None,
    ) -> None:
        self._function = function
        self._seconds = seconds if callable(seconds) else lambda: seconds
        self._name = name
        self._first = first
        self._triggered = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it was started and isn't closed."""
        return self._task is not None

    def start(self) -> None:
        """Start. The first run is after the interval, or at once if it was triggered before."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    def trigger(self) -> None:
        """Run the function at once, or as soon as the present run ends."""
        self._triggered.set()

    async def close(self) -> None:
        """Stop, and cancel a run that is under way. A second call does nothing."""
        task, self._task = self._task, None
        await _cancel(task)

    async def _run(self) -> None:
        first = self._first
        while self._task is asyncio.current_task():  # a run may have closed it
            await self._wait(first)
            first = None
            self._triggered.clear()
            try:
                outcome = self._function()
                if isawaitable(outcome):
                    await outcome
            except Exception:
                logger.exception("%s met a fault of ours", self._name)

    async def _wait(self, first: float | None) -> None:
        if self._triggered.is_set():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds() if first is None else first):
                await self._triggered.wait()


class Coalescer:
    """Runs a function soon, once for all requests until then.

    A request during a run causes one more run afterwards.

    Args:
        function: the function.
        name: the name in the log.
    """

    def __init__(self, function: Callable[[], Awaitable[object]], name: str) -> None:
        self._function = function
        self._name = name
        self._requested = False
        self._task: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether all requested runs are done."""
        return self._task is None

    def request(self) -> None:
        """Run the function soon."""
        self._requested = True
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=self._name)

    async def close(self, patience: float = 0.0) -> None:
        """Stop, and cancel a run that is still under way after ``patience`` seconds."""
        if self._task is not None and patience:
            await asyncio.wait([self._task], timeout=patience)
        task, self._task = self._task, None
        await _cancel(task)

    async def _run(self) -> None:
        try:
            while self._requested:
                self._requested = False
                try:
                    await self._function()
                except Exception:
                    logger.exception("%s met a fault of ours", self._name)
        finally:
            if self._task is asyncio.current_task():
                self._task = None


async def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None and task is not asyncio.current_task():
        task.cancel()
        await asyncio.wait([task])
