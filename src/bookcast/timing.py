"""Intervals as values: each area has a class with its intervals and the relations between them."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """The intervals of one area, in seconds.

    A subclass lists the relations that it relies on in ``LONGER``, as ``(name, times, other)``: the
    first interval must be longer than so many times the other.
    """

    LONGER: ClassVar[tuple[tuple[str, float, str], ...]] = ()

    def __post_init__(self) -> None:
        """Check the intervals.

        Raises:
            ValueError: when one isn't positive, or a relation doesn't hold. It names both
                intervals.
        """
        for name in self.__struct_fields__:
            if not getattr(self, name) > 0:
                raise ValueError(f"{type(self).__name__}: {name} must be positive")
        for name, times, other in self.LONGER:
            interval, limit = getattr(self, name), getattr(self, other)
            if not interval > times * limit:
                raise ValueError(
                    f"{type(self).__name__}: {name} ({interval:g} s) must be longer than "
                    f"{times:g} times {other} ({limit:g} s)"
                )


def milliseconds(seconds: float) -> int:
    """Return an interval as whole milliseconds, as Redis takes it."""
    return round(seconds * 1000)
