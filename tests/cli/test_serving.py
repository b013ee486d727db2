import gc
import os
import signal
from pathlib import Path

import pytest

from bookcast.cli.main import serve_until_stopped
from bookcast.server import Server
from bookcast.settings import load


async def test_the_garbage_collector_leaves_out_what_lasts_as_long_as_the_server(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It would look at the modules again and again, and all clients wait meanwhile."""
    monkeypatch.chdir(tmp_path)
    loaded = load({"websocket_port": "0", "feed": "none"}, {}, None)
    server = Server(loaded.settings)
    frozen = []

    def freeze() -> None:
        frozen.append(server.port)  # another than 0: it serves already
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(gc, "freeze", freeze)
    assert await serve_until_stopped(server, loaded, lambda: loaded) == 0
    assert len(frozen) == 1
    assert frozen[0] != 0
