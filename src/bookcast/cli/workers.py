"""Starts, watches and stops several processes that share a port. They share state in Redis."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import secrets
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bookcast import backoff
from bookcast.compose import Worker
from bookcast.errors import StartupError
from bookcast.transport.listen import unresolvable

logger = logging.getLogger(__name__)

VARIABLE: Final = "BOOKCAST_WORKER"
"""Environment variable with a worker's number. It isn't a setting: only this module writes it."""

FIRST_DELAY: Final = 0.2
MAX_DELAY: Final = 10.0
"""The delay before a dead worker is restarted, in seconds; it grows from the first to the second,
with jitter."""

WELL_SECONDS: Final = 30.0
"""A worker that ran for so many seconds had started well, so the delay is reset."""

LOOK_SECONDS: Final = 1.0

NOT_BEGUN: Final = 2
"""The exit code of a command that couldn't start, and printed why."""


def worker_of(environ: Mapping[str, str]) -> Worker | None:
    """Return which worker this process is; None if it isn't a worker."""
    text = environ.get(VARIABLE)
    if text is None:
        return None
    group, number, count = text.split("/")
    return Worker(group, int(number), int(count))


def hold_port(host: str, port: int) -> tuple[list[socket.socket], int]:
    """Bind the port for the workers without listening on it. Return the sockets and the number.

    With port 0 each worker would get another port, so one is chosen here.

    Raises:
        StartupError: when another program has the port, or another group of workers.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise unresolvable(host, error) from None
    held: list[socket.socket] = []
    try:
        for family, _, _, _, address in dict.fromkeys(found):
            chosen = held[0].getsockname()[1] if held else port
            held.append(_hold(family, (address[0], chosen, *address[2:])))
    except OSError as error:
        for sock in held:
            sock.close()
        raise StartupError(
            f"Port {port} on {host} can't be had for several workers: {error.strerror}; stop the "
            "program that has it, or choose another with WEBSOCKET_PORT (--port)"
        ) from None
    return held, int(held[0].getsockname()[1])


def _hold(family: int, address: tuple[Any, ...]) -> socket.socket:
    with socket.socket(family, socket.SOCK_STREAM) as alone:
        # With SO_REUSEPORT alone, another group could share the port. So a socket without it
        # must be able to bind first.
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _bind(alone, address)
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _bind(sock, address)
    except OSError:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, address: tuple[Any, ...]) -> None:
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
    sock.bind(address)


async def parent_is_gone() -> None:
    """Return when the parent process is gone, since nothing else would stop this one."""
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 - no event
        await asyncio.sleep(LOOK_SECONDS)


class Workers:
    """Runs ``count`` processes of the same command until it is told to stop.

    A worker that dies is restarted. Each worker is a node of its own. The kernel spreads
    connections over them.
    """

    def __init__(self, arguments: Sequence[str], *, count: int, port: int) -> None:
        self._arguments = [*arguments, "--websocket-port", str(port)]
        self._count = count
        self._group = secrets.token_hex(4)
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> int:
        """Run the workers. Return the exit code: that of a worker that couldn't start, or 0."""
        watches = [
            asyncio.create_task(self._watch(number), name=f"worker {number}")
            for number in range(self._count)
        ]
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            failed = asyncio.create_task(_first_failure(watches), name="failures")
            await asyncio.wait({stopping, failed}, return_when=asyncio.FIRST_COMPLETED)
            self.end(signal.SIGTERM)
            codes = await asyncio.gather(*watches)
        finally:
            for task in (stopping, failed):
                task.cancel()
        return max((code for code in codes), key=abs)

    def end(self, number: int) -> None:
        """Send a signal to all workers, and restart none."""
        self._stopping.set()
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    def hang_up(self) -> None:
        """Send SIGHUP to all workers, so that they read their settings again."""
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGHUP)

    async def _watch(self, number: int) -> int:
        """Keep one worker running. Return its last exit code; 0 if it was stopped on purpose."""
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._stopping.is_set():
            began = loop.time()
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bookcast",
                *self._arguments,
                env={**os.environ, VARIABLE: f"{self._group}/{number}/{self._count}"},
                # Ctrl-C in a terminal must reach only this process, which passes it on.
                start_new_session=True,
            )
            self._processes[number] = process
            if self._stopping.is_set():
                process.send_signal(signal.SIGTERM)
            code = await process.wait()
            if self._stopping.is_set():
                return max(code, 0) if code != -signal.SIGTERM else 0
            lived = loop.time() - began
            failures = 1 if lived > WELL_SECONDS else failures + 1
            if code == NOT_BEGUN and failures == 1 and lived < WELL_SECONDS:
                return code  # it has printed why
            wait = backoff.delay(failures, random.random(), first=FIRST_DELAY, most=MAX_DELAY)
            logger.warning("worker %d ended with %d; starting again in %.1f s", number, code, wait)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._stopping.wait()
        return 0


async def _first_failure(watches: Sequence[asyncio.Task[int]]) -> None:
    await asyncio.wait(watches, return_when=asyncio.FIRST_COMPLETED)
