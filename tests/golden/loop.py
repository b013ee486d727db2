"""An event loop whose time passes only while the script waits, when nothing else can run."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Callable, Iterable
from typing import Any, Final

from tests.golden.clock import CLOCK, MICROS

REAL_WAIT: Final = 0.01
"""Seconds that the loop really sleeps where the script waits for something else than time."""


class ScriptedSelector(selectors.DefaultSelector):
    """A selector that knows when the loop is idle, and moves the clock to the next timer.

    Sockets are looked at only when no callback is left, after the barrier, and in the order of
    their numbers: so it makes no difference how soon another process answers. The barrier returns
    when whatever was asked of other processes has been answered.
    """

    def __init__(self) -> None:
        super().__init__()
        self._barrier: Callable[[], None] = lambda: None
        self.asked = False
        """Whether another process was sent something since the barrier."""
        self._until = 0
        self._waiting: asyncio.Future[None] | None = None

    def set_barrier(self, barrier: Callable[[], None]) -> None:
        """Use another barrier from now on: the other process has come, gone, or stands still."""
        self._barrier = barrier
        self.asked = True

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is there; never sleep for a timer."""
        if timeout is not None and timeout <= 0:
            return []
        if self.asked:
            self.asked = False
            self._barrier()
        events = super().select(0)
        if events:
            return sorted(events, key=lambda event: event[0].fd)
        if self._waiting is None:
            return super().select(REAL_WAIT)
        due = math.inf if timeout is None else CLOCK.micros + _micros(timeout)
        if due <= self._until:
            CLOCK.micros = int(due)
        else:
            CLOCK.micros = self._until
            waiting, self._waiting = self._waiting, None
            waiting.set_result(None)
        return []

    async def settle(self, seconds: float = 0.0) -> None:
        """Run the loop for this long on its clock, and return when it is idle."""
        assert self._waiting is None, "one script drives the clock"
        self._until = CLOCK.micros + round(seconds * MICROS)
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting


def _micros(seconds: float) -> int:
    """Round up to what the clock counts in, but for what a sum of floats is off by."""
    return max(1, math.ceil(seconds * MICROS - 0.001))


class Asking:
    """A transport to another process, which notes when something is sent."""

    def __init__(self, transport: Any, note: Callable[[], None]) -> None:
        self._transport = transport
        self._note = note

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send."""
        self._note()
        self._transport.write(data)

    def writelines(self, data: Iterable[bytes]) -> None:
        """Send."""
        self._note()
        self._transport.writelines(data)


class Listener:
    """Stands for a listening socket: clients come by calling ``connect``."""

    def __init__(self, connect: Callable[[], asyncio.BaseProtocol]) -> None:
        self.connect = connect

    def close(self) -> None:
        """Nothing listens."""

    async def wait_closed(self) -> None:
        """Nothing listens."""


class ScriptedLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, with a selector and listeners that the script controls."""

    def __init__(self) -> None:
        self.selector = ScriptedSelector()
        self.listeners: list[Listener] = []
        super().__init__(self.selector)

    async def create_server(  # type: ignore[override] # of all that it can do, this is used
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], **_options: Any
    ) -> Listener:
        """Keep the factory instead of accepting connections."""
        listener = Listener(protocol_factory)
        self.listeners.append(listener)
        return listener

    def run_in_executor(  # type: ignore[override] # whatever it is, it is done at once
        self, _executor: Any, function: Callable[..., Any], *arguments: Any
    ) -> asyncio.Future[Any]:
        """Do in this thread what would be done in another: looking up the address of Redis."""
        outcome = self.create_future()
        try:
            outcome.set_result(function(*arguments))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told to whoever asked
            outcome.set_exception(error)
        return outcome

    async def create_connection(
        self, protocol_factory: Callable[[], asyncio.BaseProtocol], *where: Any, **options: Any
    ) -> tuple[Any, Any]:
        """Connect to another process."""
        self._note_asked()
        transport, protocol = await super().create_connection(protocol_factory, *where, **options)
        return Asking(transport, self._note_asked), protocol

    def _note_asked(self) -> None:
        self.selector.asked = True
