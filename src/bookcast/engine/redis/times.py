"""How often the engine looks at Redis, and how long it waits for what is on its way."""

from __future__ import annotations

from typing import ClassVar

from bookcast.timing import Times


class EngineTimes(Times, frozen=True, kw_only=True):
    """Of the engine on Redis, in seconds.

    ``audit``: how often what Redis has is compared with what this node knows. ``arrival``: what
    Redis has and this node hasn't may be on its way for so long. ``grace``: what Redis has lost is
    told again by whoever follows the topic, within one audit; what is still missing after this is
    told by the node that published it. ``linger``: what nobody wants any more is followed for so
    long.
    """

    LONGER: ClassVar = (("grace", 1, "audit"),)

    audit: float = 2.0
    arrival: float = 0.25
    grace: float = 2.5
    linger: float = 10.0
