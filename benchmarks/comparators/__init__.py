"""Comparable servers, each in its own file. They are started like the server under test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import server
from comparators import centrifugo, nginx_nchan

HERE = Path(__file__).parent
MESSAGE = {
    # The publisher makes the same message that a client of bookcast gets.
    "before": '{"type":"orderbook_update","symbol":"@","data":',
    "after": "}",
}


@dataclass
class Comparator:
    """Another server. ``missing``: why it can't run here."""

    name: str
    start: Callable[[], server.Program] | None
    publish: dict[str, object] = field(default_factory=dict)
    receive: dict[str, object] = field(default_factory=dict)
    missing: str = ""
    note: str = ""


def _python(name: str) -> Callable[[], server.Program]:
    def start() -> server.Program:
        port = server.free_port()
        return server.Program([sys.executable, HERE / f"{name}.py", port], port)

    return start


def everyone() -> list[Comparator]:
    """Return all comparators, including those that aren't installed."""
    return [
        Comparator(
            "websockets broadcast()",
            _python("websockets_broadcast"),
            {"way": "socket", "path": "/publish", "protocol": "", "window": 0, **MESSAGE},
        ),
        Comparator("FastAPI, send_json in a loop", _python("fastapi_loop"), {"way": "http"}),
        Comparator(
            "nginx with nchan",
            nginx_nchan.start if not nginx_nchan.missing() else None,
            {"way": "http", "path": "/publish", **MESSAGE},
            missing=nginx_nchan.missing(),
            note="joins frames, late (Nagle's algorithm seems to be on)",
        ),
        Comparator(
            "Centrifugo",
            centrifugo.start if not centrifugo.missing() else None,
            centrifugo.PUBLISH,
            centrifugo.RECEIVE,
            missing=centrifugo.missing(),
        ),
    ]
