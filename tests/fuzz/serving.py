"""The command in its own process, whose log is read all the time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support import Command, command


@contextmanager
def serving(**settings: str) -> Iterator[Command]:
    """Serve on a free port. If the log weren't read, a full pipe would block the server."""
    environ = {name.upper(): value for name, value in settings.items()}
    arguments = ("serve", "--port", "0", "--log-level", "info")
    with command(*arguments, environ=environ) as running:
        stream = running.process.stderr
        assert stream is not None
        reader = threading.Thread(target=lambda: running.log.extend(stream), daemon=True)
        reader.start()
        try:
            yield running
        finally:
            if running.process.poll() is None:
                running.process.terminate()
            running.process.wait(10)
            reader.join(10)
