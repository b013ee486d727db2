"""Programs under test: starts them on a core of their own, measures and stops them."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence

import machine
from bookcast.fetch import fetch_json

START_SECONDS = 60.0
STOP_SECONDS = 5.0


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Program:
    """A server alone on its core. Use it in a with statement, which stops it."""

    def __init__(
        self,
        command: Sequence[object],
        port: int,
        environment: Mapping[str, str] | None = None,
        core: int = machine.SERVER_CORE,
    ) -> None:
        self.port = port
        self._cleanups: list[Callable[[], None]] = []
        # A file, since a full pipe would block the program.
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            machine.pinned(core, *command),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={**os.environ, **(environment or {})},
        )
        try:
            self._wait_until_it_listens()
        except BaseException:
            self.__exit__()
            raise

    def cpu_seconds(self) -> float:
        """Return the CPU time used so far, in seconds."""
        return machine.cpu_seconds(self._process.pid)

    def rss_kb(self) -> int:
        """Return its resident memory, in KB."""
        return machine.rss_kb(self._process.pid)

    def log(self) -> str:
        """Return the end of its output."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")[-2000:]

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self._process.kill()
        self._process.wait()

    def on_exit(self, cleanup: Callable[[], None]) -> None:
        """Call a function after it has ended."""
        self._cleanups.append(cleanup)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for pid in machine.family(self._process.pid):
                os.kill(pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()
        for cleanup in self._cleanups:
            cleanup()

    def _wait_until_it_listens(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"{self._process.args} did not start:\n{self.log()}")


def wait_until_it_listens(port: int) -> None:
    """Wait until some program listens on a port."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nothing listens on {port}")


def bookcast(*, core: int = machine.SERVER_CORE, **settings: object) -> Program:
    """Start bookcast with these settings, and with rate limits that a benchmark doesn't reach."""
    port = free_port()
    environment = {
        "ENVIRONMENT": "development",
        "LOG_LEVEL": "warning",
        "MESSAGE_RATE": "1000000",
        "PUBLISH_RATE": "1000000",
        **{name.upper(): str(value) for name, value in settings.items()},
    }
    command = [sys.executable, "-m", "bookcast", "serve", "--port", port]
    return Program(command, port, environment, core)


def conflated(port: int) -> int:
    """Return how many frames newer ones have replaced; 0 if the server doesn't report it."""
    try:
        stats = fetch_json(f"http://127.0.0.1:{port}/stats", timeout=5)
        return int(stats.get("messages_conflated", 0))
    except (OSError, ValueError, http.client.HTTPException):
        return 0


def features(port: int) -> set[str]:
    """Return the features of a bookcast beyond the base protocol: v1, socket, batch."""
    found = set()
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(
            b"GET /ws/probe HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Protocol: bookcast.v1\r\n\r\n"
        )
        answer = client.recv(4096)
        if b"bookcast.v1" in answer.partition(b"\r\n\r\n")[0]:
            found.add("v1")
            message = (
                b'{"action":"publish","channel":"orderbook","symbol":"US.PROBE",'
                b'"data":{"bids":[[1,1]],"asks":[[2,1]]}}'
            )
            client.sendall(bytes((0x81, 0x80 | len(message), 0, 0, 0, 0)) + message)
            client.settimeout(1)
            try:
                while b'"published"' not in answer:
                    answer += client.recv(4096) or b'"published"?'
            except TimeoutError:
                pass
            if b'"published",' in answer:
                found.add("socket")
    body = (
        b'{"updates":[{"channel":"orderbook","symbol":"US.PROBE",'
        b'"data":{"bids":[[1,1]],"asks":[[2,1]]}}]}'
    )
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(
            b"POST /broadcast HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        if client.recv(4096).startswith(b"HTTP/1.1 200"):
            found.add("batch")
    return found
