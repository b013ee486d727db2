"""Sets up the command's log, and writes it without blocking the event loop.

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
"""At most so many bytes of log lines wait to be written. Further lines are dropped and counted."""

MAX_TEXT: Final = 400
"""The maximum length of a field or an event, in characters. Clients may choose longer texts."""

END_SECONDS: Final = 1.0
"""How long the end of the process waits for the log to be written, in seconds."""

FULL_SECONDS: Final = 0.05
"""Delay in seconds before a write to a full non-blocking pipe is retried."""


class Writer(logging.Handler):
    """Writes log lines to a file descriptor, from a thread of its own.

    The event loop never waits for the reader of the log. When the queue is full, lines are dropped
    and counted in ``dropped``; once lines can be written again, the log reports how many.
    """

    def __init__(self, descriptor: int, max_bytes: int = MAX_WAITING_BYTES) -> None:
        super().__init__()
        self.dropped = 0
        self._descriptor = descriptor
        self._max_bytes = max_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = self._unreported = 0
        self._changed = threading.Condition()
        self._idle = True
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line, or drop it when the queue is full."""
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
        """Wait until every line is written. Return False after so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._idle and not self._lines, seconds)

    def close(self) -> None:
        """Write waiting lines, for a moment at most. The standard library calls it at exit."""
        self.wait_until_written()
        super().close()

    def _drop(self, count: int) -> None:
        self.dropped += count
        self._unreported += count

    def _run(self) -> None:
        while True:
            with self._changed:
                self._idle = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._lines))
                self._idle = False
                lines, self._lines, self._bytes = self._lines, deque(), 0
                unreported, self._unreported = self._unreported, 0
            lost = 0 if self._write(b"".join(lines)) else len(lines)
            if unreported and not lost and not self._write(self._dropped_line(unreported)):
                lost = unreported
                self.dropped -= unreported  # they have been counted before
            with self._changed:
                self._drop(lost)

    def _dropped_line(self, count: int) -> bytes:
        record = logging.LogRecord(
            __name__, logging.WARNING, "", 0, "log lines dropped: nobody read them", None, None
        )
        record.count = count
        return self.format(record).encode() + b"\n"

    def _write(self, data: bytes) -> bool:
        """Write all data, however slow the reader is; return False when it is gone."""
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
    """Logs the same traceback once a minute at most, with how often it occurred since then.

    A client that can trigger a bug of ours must not be able to fill the log.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._tracebacks = WarningThrottle(clock)

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write a record."""
        if not record.exc_info or record.exc_info[0] is None:
            return True
        place = (record.pathname, record.lineno, record.exc_info[0].__name__)
        count = self._tracebacks.count(place)
        if count > 1:
            record.count = count
        return count > 0


def configure(settings: Settings, *, worker: int | None = None, node: str = "") -> None:
    """Write the log to standard error: lines for people in development, JSON in production.

    Args:
        settings: the log level, and whether this is production.
        worker: the number of this process, if several write to the same log.
        node: the node's id, which every line has.
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
    """Set the lowest level of bookcast's lines that is written."""
    logging.getLogger("bookcast").setLevel(level.upper())


@as_counter(
    "bookcast_log_lines_dropped", "Lines of the log that found no room, since nobody read it"
)
def lines_dropped() -> int:
    """Return how many lines of the log were dropped since the start."""
    return sum(one.dropped for one in logging.getLogger().handlers if isinstance(one, Writer))


def shorten(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Cut texts that are too long for the log, and append their length."""
    for name, value in event.items():
        if isinstance(value, str) and len(value) > MAX_TEXT:
            event[name] = f"{value[:MAX_TEXT]}… ({len(value)} characters)"
    return event


def _without_name(_logger: object, _name: str, event: EventDict) -> EventDict:
    """Remove the module's name from lines of level info, where the event is clear without it."""
    if event.get("level") == "info":
        event.pop("logger", None)
    return event


def _stderr() -> int:
    # Tests and embedding programs may replace stderr with an object without a descriptor.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return sys.stderr.fileno()
    return 2
