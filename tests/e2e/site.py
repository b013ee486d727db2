"""A page on a port of its own."""

from __future__ import annotations

import functools
import http.server
import threading
from pathlib import Path
from typing import Any


class Site:
    """Serves one page from a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        handler = functools.partial(_Quiet, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def serve(self, text: str) -> str:
        """Serve a page from now on, and return its address."""
        (self._folder / "index.html").write_text(text)
        return f"http://127.0.0.1:{self._server.server_port}/"

    def close(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Write no log."""
