"""How the command's log looks. A program that embeds bookcast sets up its own logging instead."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict

from bookcast.settings import Settings


def configure(settings: Settings, worker: int | None = None) -> None:
    """Write the log to standard error: lines for people in development, JSON in production.

    ``worker``: the number of this process, where several write to the same place.
    """

    def add_worker(_logger: object, _name: str, event: EventDict) -> EventDict:
        if worker is not None:
            event["worker"] = worker
        return event

    timestamp = structlog.processors.TimeStamper(fmt="iso", utc=settings.production)
    before: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        timestamp,
        add_worker,
    ]
    renderer: list[structlog.typing.Processor]
    # Tracebacks without the values of variables: those may be secrets.
    if settings.production:
        renderer = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        renderer = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                pad_event_to=0,
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("bookcast").setLevel(settings.log_level.upper())
