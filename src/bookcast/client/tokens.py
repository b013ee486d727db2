"""The token: asked for once at a time, kept while it is valid, asked for again when that failed."""

from __future__ import annotations

import asyncio
import inspect
import math
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Final

from bookcast.client.clock import Clock
from bookcast.client.errors import BookcastClientError

GetToken = Callable[[], str | Awaitable[str]]
"""Returns a token. One that isn't a coroutine function is called in a thread: it may take time."""

TOKEN_WITHIN: Final = 60.0
"""Seconds that a call may take before it is given up."""
MARGIN: Final = 2_000.0
"""A token that expires sooner, in milliseconds, isn't shown to a new connection."""
FIRST_PAUSE: Final = 1_000.0
LONGEST_PAUSE: Final = 30_000.0


class Tokens:
    """The tokens of one client.

    ``failed`` is told of each call that gave none, and in how many milliseconds the next follows.
    ``is_fresh``: the newest token comes from ``get_token`` and hasn't been accepted yet.
    """

    def __init__(
        self,
        get_token: GetToken,
        clock: Clock,
        failed: Callable[[BookcastClientError, float], None],
    ) -> None:
        self.is_fresh = False
        self._get_token = get_token
        self._clock = clock
        self._failed = failed
        self._token = ""
        self._valid_until = 0.0
        self._asking: asyncio.Task[str] | None = None

    def current(self) -> asyncio.Future[str]:
        """Return a token for a new connection: a new one, unless the last is still valid."""
        if self._clock.now() < self._valid_until - MARGIN:
            ready: asyncio.Future[str] = self._clock.loop.create_future()
            ready.set_result(self._token)
            return ready
        return self.renew()

    def renew(self) -> asyncio.Future[str]:
        """Return a new token. Whoever asks while one is awaited gets the same.

        It is tried until there is one.
        """
        if self._asking is None:
            self._asking = self._clock.loop.create_task(self._ask())
        return self._asking

    def accepted(self, expires_in_ms: float | None) -> None:
        """Note that the server took the token, which expires in so long; None: never."""
        self.is_fresh = False
        self._valid_until = self._clock.now() + (
            math.inf if expires_in_ms is None else expires_in_ms
        )

    def drop(self) -> None:
        """Note that the token isn't good any more."""
        self._valid_until = 0.0

    def stop(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self) -> str:
        attempt = 0
        while True:
            try:
                async with asyncio.timeout(TOKEN_WITHIN):
                    self._token = await self._call()
            except Exception as error:  # noqa: BLE001 - a program's function may raise anything
                pause = self._clock.backoff(attempt, FIRST_PAUSE, LONGEST_PAUSE)
                attempt += 1
                why = "it took too long" if isinstance(error, TimeoutError) else repr(error)
                self._failed(BookcastClientError("no_token", f"get_token failed: {why}"), pause)
                await asyncio.sleep(pause / 1000)
            else:
                self._asking = None
                self.is_fresh = True
                self._valid_until = math.inf
                return self._token

    async def _call(self) -> str:
        token: object
        if inspect.iscoroutinefunction(self._get_token):
            token = await self._get_token()
        else:
            token = await _in_thread(self._get_token)
            if inspect.isawaitable(token):
                token = await token
        if not isinstance(token, str) or not token:
            raise TypeError(f"a token is text, not {type(token).__name__}" if token else "no token")
        return token


async def _in_thread(function: Callable[[], object]) -> object:
    """Call a function in a thread that no program has to wait for when it ends."""
    outcome: Future[object] = Future()
    outcome.set_running_or_notify_cancel()  # who doesn't wait any more can't stop it

    def work() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:  # noqa: BLE001 - it is raised where the outcome is awaited
            outcome.set_exception(error)

    threading.Thread(target=work, name="bookcast-token", daemon=True).start()
    return await asyncio.wrap_future(outcome)
