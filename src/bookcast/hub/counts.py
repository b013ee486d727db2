"""Counts of a topic's updates: how many came, and what became of them."""

from __future__ import annotations

from operator import add, sub
from typing import NamedTuple


class DeliveryCounts(NamedTuple):
    """Updates of a topic: how many came, and what became of them.

    ``unchanged`` updates changed nothing that the view shows. ``received`` minus the other three
    were conflated.
    """

    received: int = 0
    sent: int = 0
    gapped: int = 0
    unchanged: int = 0

    def __add__(self, other: DeliveryCounts) -> DeliveryCounts:  # type: ignore[override] # sums, not a longer tuple
        return DeliveryCounts(*map(add, self, other))

    def __sub__(self, other: DeliveryCounts) -> DeliveryCounts:
        return DeliveryCounts(*map(sub, self, other))
