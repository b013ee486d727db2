"""A thread for calls that may block, and the way back into the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any


class VendorThread:
    """One daemon thread for calls that may block, one after the other.

    A thread pool won't do: the interpreter joins its threads at exit, and a call to a silent OpenD,
    or to a name server, may take long.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str = "bookcast-futu") -> None:
        self._loop = loop
        self._calls: queue.SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None]
        self._calls = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def call(self, function: Callable[[], Any]) -> Any:
        """Run a function there and give its result; when cancelled, it runs to its end anyway."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._calls.put((future, function))
        return await future

    def stop(self) -> None:
        """End the thread once it has made its calls."""
        self._calls.put(None)

    def _run(self) -> None:
        while call := self._calls.get():
            future, function = call
            try:
                result, error = function(), None
            except Exception as caught:  # noqa: BLE001 - it is raised again where it was awaited
                result, error = None, caught
            call_in(self._loop, _settle, future, result, error)


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():  # cancelled
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def call_in(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: Any) -> None:
    """Have the loop call a function, from any thread; a closed loop has no use for it."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *args)
