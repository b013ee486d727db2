"""Functions of the program's that want to be told."""

from __future__ import annotations

import logging
from collections.abc import Callable

logger = logging.getLogger("bookcast.client")


def call_all(listeners: list[Callable[..., object]], *told: object) -> None:
    """Call listeners. What one of them raises stops neither the others nor the client."""
    for listener in list(listeners):
        try:
            listener(*told)
        except Exception:
            logger.exception("a listener of the program's failed")
