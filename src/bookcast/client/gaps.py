"""What a client is told to be missing."""

from __future__ import annotations

from typing import Literal

import msgspec

GapReason = Literal["overflow", "history", "epoch", "engine_restored", "unreadable", "consumer"]
"""The server's reason, or ``consumer``: the program was slower than ``max_buffered`` allows."""


class Gap(msgspec.Struct, frozen=True):
    """Updates that won't come: the numbers from and to, inclusive; None where unknown."""

    epoch: str
    from_seq: int | None
    to_seq: int | None
    reason: GapReason


def join_gaps(first: Gap | None, second: Gap | None) -> Gap | None:
    """Return one gap for two that follow each other."""
    if first is None or second is None:
        return first or second
    if first.epoch != second.epoch:
        return Gap(second.epoch, None, None, first.reason)
    return Gap(second.epoch, first.from_seq, second.to_seq, first.reason)
