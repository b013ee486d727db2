"""The intervals of sessions."""

from __future__ import annotations

from bookcast.timing import Times


class SessionTimes(Times, frozen=True, kw_only=True):
    """Intervals, all in seconds.

    Attributes:
        answer: how long a client has to answer a ping when another one comes under its id.
        travel: how much longer the newcomer's node waits for the other node's answer.
        seek: delay before a session is looked for again, if the other nodes couldn't be asked, or
            if it wasn't found right after Redis came back. Meanwhile the other nodes save theirs.
        live: if a connected client's session isn't touched for this long, its node counts as dead.
        touch: how often the sessions of connected clients are touched.
        retry: delay before a failed save is tried again.
        stop: how long a node that ends waits for its sessions to be saved.
    """

    answer: float = 1.5
    travel: float = 0.2
    seek: float = 2.0
    live: float = 60.0
    touch: float = 20.0
    retry: float = 1.0
    stop: float = 2.0

    LONGER = (
        ("live", 2, "touch"),  # one touch may be lost
        ("seek", 1, "retry"),  # other nodes save their sessions first
    )
