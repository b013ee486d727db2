"""The intervals of sessions."""

from __future__ import annotations

from bookcast.timing import Times


class SessionTimes(Times, frozen=True, kw_only=True):
    """Intervals, all in seconds.

    Attributes:
        answer: how long a client has to answer when another comes under its id.
        travel: how much longer the node of the newcomer waits for the word of the other one.
        seek: delay before a session that couldn't be looked for, or wasn't found right after Redis
            came back, is looked for again. Other nodes save theirs meanwhile.
        live: a connected client's session that wasn't touched for so long is given up: its node is
            dead.
        touch: how often the sessions of connected clients are touched.
        retry: delay before what couldn't be saved is saved again.
        stop: how long the end of a node waits until its sessions are saved.
    """

    answer: float = 1.5
    travel: float = 0.2
    seek: float = 2.0
    live: float = 60.0
    touch: float = 20.0
    retry: float = 1.0
    stop: float = 2.0

    LONGER = (
        ("live", 2, "touch"),  # one touch may get lost
        ("seek", 1, "retry"),  # others save theirs first
    )
