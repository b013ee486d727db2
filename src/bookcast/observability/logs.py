"""How the command's log looks, and how it is written without holding anybody up.

A program that embeds bookcast sets up its own logging instead.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog
from structlog.typing import EventDict

from bookcast.observability.counter import as_counter
from bookcast.observability.throttle import WarningThrottle
from bookcast.settings import Settings

MAX_WAITING_BYTES: Final = 1024 * 1024
"""So much of the log waits for whoever reads it; what is more is dropped and counted."""

MAX_TEXT: Final = 400
"""Characters of one field, or of the event: what clients choose may be longer."""

END_SECONDS: Final = 1.0
"""How long the end of the process waits for whoever reads the log."""

FULL_SECONDS: Final = 0.05
"""Delay before a pipe in non-blocking mode that was full is tried again."""


class Writer(logging.Handler):
    """Writes lines to a file descriptor from a thread of its own.

    The event loop never waits for a reader: lines that find no room are dropped, counted in
    ``dropped``, and the log says how many there were once it is read again.
    """

    def __init__(self, descriptor: int, max_bytes: int = MAX_WAITING_BYTES) -> None:
        super().__init__()
        self.dropped = 0
        self._descriptor = descriptor
        self._max_bytes = max_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = self._untold = 0
        self._changed = threading.Condition()
        self._idle = True
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Put a line in the queue, or drop it when the queue is full."""
        try:
            line = self.format(record).encode(errors="backslashreplace") + b"\n"
        except Exception:  # noqa: BLE001 - a line that can't be written must not stop the program
            line = b"a line of the log could not be written\n"
        with self._changed:
            if self._bytes + len(line) > self._max_bytes:
                self._drop(1)
                return
            self._lines.append(line)
            self._bytes += len(line)
            self._changed.notify_all()

    def wait_until_written(self, seconds: float = END_SECONDS) -> bool:
        """Wait until every line is written, no longer than this; return whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self._idle and not self._lines, seconds)

    def close(self) -> None:
        """Write what waits, as far as somebody reads it. The standard library calls it at exit."""
        self.wait_until_written()
        super().close()

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._untold += count

    def _run(self) -> None:
        while True:
            with self._changed:
                self._idle = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._lines))
                self._idle = False
                lines, self._lines, self._bytes = self._lines, deque(), 0
                untold, self._untold = self._untold, 0
            lost = 0 if self._write(b"".join(lines)) else len(lines)
            if untold and not lost and not self._write(self._told(untold)):
                lost = untold
                self.dropped -= untold  # they are counted already
            with self._changed:
                self._drop(lost)

    def _told(self, count: int) -> bytes:
        record = logging.LogRecord(
            __name__, logging.WARNING, "", 0, "log lines dropped: nobody read them", None, None
        )
        record.count = count
        return self.format(record).encode() + b"\n"

    def _write(self, data: bytes) -> bool:
        """Write all of it, however long the reader takes; return whether there is a reader."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                time.sleep(FULL_SECONDS)
            except OSError:
                return False
        return True


class TracebackThrottle(logging.Filter):
    """Lets the same traceback through once a minute, with how often it came since the last time.

    A fault of ours that a client can cause must not let it fill the log.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._tracebacks = WarningThrottle(clock)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is to be written."""
        if not record.exc_info or record.exc_info[0] is None:
            return True
        place = (record.pathname, record.lineno, record.exc_info[0].__name__)
        count = self._tracebacks.count(place)
        if count > 1:
            record.count = count
        return count > 0


def configure(settings: Settings, *, worker: int | None = None, node: str = "") -> None:
    """Write the log to standard error: lines for people in development, JSON in production.

    ``worker``: the number of this process, where several write to the same place. ``node``: the
    node's id, which every line carries.
    """
    common = {"worker": worker, "node": node or None}

    def add_common(_logger: object, _name: str, event: EventDict) -> EventDict:
        event.update((name, value) for name, value in common.items() if value is not None)
        return event

    before: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=settings.production),
        add_common,
        shorten,
    ]
    renderer: list[structlog.typing.Processor]
    # Tracebacks without the values of variables: those may be secrets.
    if settings.production:
        renderer = [
            _without_name,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(separators=(",", ":")),
        ]
    else:
        renderer = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                pad_event_to=0,
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    handler = Writer(_stderr())
    handler.addFilter(TracebackThrottle())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    for earlier in root.handlers:
        earlier.close()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    set_level(settings.log_level)


def set_level(level: str) -> None:
    """Write lines of bookcast from this level on."""
    logging.getLogger("bookcast").setLevel(level.upper())


@as_counter(
    "bookcast_log_lines_dropped", "Lines of the log that found no room, since nobody read it"
)
def lines_dropped() -> int:
    """Count the lines of the log that were dropped since the start."""
    return sum(one.dropped for one in logging.getLogger().handlers if isinstance(one, Writer))


def shorten(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Cut texts that are too long for a log, and say how long they were."""
    for name, value in event.items():
        if isinstance(value, str) and len(value) > MAX_TEXT:
            event[name] = f"{value[:MAX_TEXT]}… ({len(value)} characters)"
    return event


def _without_name(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Leave out the module at level info, which most lines have: the event tells enough."""
    if event.get("level") == "info":
        event.pop("logger", None)
    return event


def _stderr() -> int:
    # A test, or a program that embeds the command, may have put something without a file there.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return sys.stderr.fileno()
    return 2
