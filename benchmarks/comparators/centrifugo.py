"""Centrifugo 6, if it is on the PATH. Written from its documentation: it wasn't available, so this
file has not been run yet.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import server

PUBLISH = {
    "way": "http",
    "path": "/api/publish",
    "before": '{"channel":"@","data":{"type":"orderbook_update","symbol":"@","data":',
    "after": "}}",
}
RECEIVE = {
    "path": "/connection/websocket",
    # Two commands in one message; @ is the symbol.
    "subscribe": '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"@"}}',
    "any": True,  # its envelope comes before the message's type
}


def missing() -> str:
    """Return why it can't run; "" if it can."""
    return "" if shutil.which("centrifugo") else "Centrifugo is not installed"


def start() -> server.Program:
    """Start it without authentication."""
    port = server.free_port()
    folder = Path(tempfile.mkdtemp(prefix="centrifugo-"))
    configuration = {
        "http_server": {"address": "127.0.0.1", "port": str(port)},
        "http_api": {"insecure": True},
        "client": {
            "allow_anonymous_connect_without_token": True,
            "allowed_origins": ["*"],
            "ping_interval": "300s",  # the receivers don't answer its own kind of pings
        },
        "channel": {
            "without_namespace": {
                "allow_subscribe_for_client": True,
                "allow_subscribe_for_anonymous": True,
            }
        },
        "log": {"level": "error"},
    }
    (folder / "config.json").write_text(json.dumps(configuration))
    program = server.Program(
        ["centrifugo", "--config", folder / "config.json"], port, {"GOMAXPROCS": "1"}
    )
    program.on_exit(lambda: shutil.rmtree(folder, ignore_errors=True))
    return program
