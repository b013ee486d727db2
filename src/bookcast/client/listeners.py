"""Functions of the program's that want to be told."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

logger = logging.getLogger("bookcast.client")


def listen(listeners: list[Callable[..., object]], listener: Any) -> Callable[[], None]:
    """Add a listener. Return what removes it; to call that again does nothing."""
    # An own object, since a program may pass the same function twice.
    entry = partial(listener)
    listeners.append(entry)

    def stop() -> None:
        if entry in listeners:
            listeners.remove(entry)

    return stop


def call_all(listeners: list[Callable[..., object]], *told: object) -> None:
    """Call listeners. What one of them raises stops neither the others nor the client."""
    for listener in list(listeners):
        try:
            listener(*told)
        except Exception:
            logger.exception("a listener of the program's failed")
