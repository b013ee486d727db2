"""The scenarios by their letters. Each is a function that runs once and returns its rows."""

from collections.abc import Callable

from measure import Bench
from rows import Row
from scenarios import (
    client,
    cluster,
    conflation,
    deltas,
    fanout,
    feed,
    idle,
    ingest,
    reconnect,
    size,
    stalled,
)

ALL: dict[str, tuple[str, Callable[[Bench], list[Row]]]] = {
    "a": (fanout.TITLE, fanout.run),
    "b": (deltas.TITLE, deltas.run),
    "c": (idle.TITLE, idle.run),
    "d": (stalled.TITLE, stalled.run),
    "e": (size.TITLE, size.run),
    "f": (conflation.TITLE, conflation.run),
    "g": (ingest.TITLE, ingest.run),
    "h": (feed.TITLE, feed.run),
    "i": (reconnect.TITLE, reconnect.run),
    "j": (cluster.TITLE, cluster.run),
    "k": (client.TITLE, client.run),
}
