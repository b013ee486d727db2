"""Parts of answers in ``bookcast.v1``."""

from __future__ import annotations

from math import ceil
from typing import Final

import msgspec
from msgspec import UNSET

from bookcast.errors import InvalidInput, brief
from bookcast.hub.view import ViewSpec
from bookcast.protocol import messages_v1 as v1

MAX_SYMBOLS: Final = 1000
"""So many symbols one message may name, or as many as there may be subscriptions."""


def seen_as(spec: ViewSpec) -> v1.SeenAs:
    """Write how a client sees a topic."""
    return v1.SeenAs(spec.depth, "delta" if spec.delta else "full", spec.interval_ms)


def error_of(
    error: InvalidInput,
    id_: v1.Id = UNSET,
    channel: str | msgspec.UnsetType = UNSET,
    symbol: str | msgspec.UnsetType = UNSET,
) -> v1.ErrorMessage:
    """Write what was wrong, and with what."""
    return v1.ErrorMessage(
        id=id_,
        code=error.code,
        message=error.message,
        channel=_named(channel, error.channel),
        symbol=_named(symbol, error.symbol),
        retry_after_ms=UNSET if error.retry_after is None else ceil(error.retry_after * 1000),
    )


def _named(given: object, known: str | None) -> str | msgspec.UnsetType:
    """Return what an error is about: as the client wrote it, or as the error says it."""
    named = known if given is UNSET else given
    return brief(named) if isinstance(named, str) else UNSET
