"""The load: receivers and publishers, written in C so that they aren't the bottleneck."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import machine

HERE = Path(__file__).parent
SUBSCRIBE_BASE = '{"action":"subscribe","symbol":"@"}'
SETTLE_SECONDS = 10.0
PUBLISH_SECONDS = 120.0
"""The timeout of one run of the publisher, in seconds."""


def subscribe_v1(**view: object) -> str:
    """Return the message that subscribes to all symbols in a view."""
    return (
        '{"action":"subscribe","symbols":[@@]'
        + "".join(f',"{name}":{json.dumps(value)}' for name, value in view.items())
        + "}"
    )


PROTOCOLS: dict[str, dict[str, object]] = {
    # How receivers of each protocol subscribe to whole books.
    "base": {"subscribe": SUBSCRIBE_BASE},
    "v1": {"protocol": "bookcast.v1", "subscribe": subscribe_v1(mode="full")},
}


class Tools:
    """The C programs, compiled into a temporary folder."""

    def __init__(self) -> None:
        for needed in ("cc", "taskset"):
            if shutil.which(needed) is None:
                raise SystemExit(f"this needs {needed}")
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name)
        for name in ("sink", "publish", "floor"):
            command = ["cc", "-O2", "-o", self._path / name, HERE / f"{name}.c"]
            subprocess.run([*command, "-Wno-unused-function"], check=True)

    def command(self, name: str, core: int, flags: dict[str, object]) -> list[str]:
        """Return the command line of a program: spin=True becomes --spin, port=1 becomes --port
        1."""
        words: list[object] = []
        for key, value in flags.items():
            if value is not None and value is not False:
                words.append("--" + key.replace("_", "-"))
                words += [] if value is True else [value]
        return machine.pinned(core, self._path / name, *words)


class Sink:
    """Receivers that connect, subscribe and count. Use it in a with statement."""

    def __init__(self, tools: Tools, port: int, clients: int, **flags: object) -> None:
        self.clients = clients
        command = tools.command(
            "sink", machine.LOAD_CORE, {"port": port, "clients": clients, **flags}
        )
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ready = self._answer()
        if not self.ready["ready"]:
            self.__exit__()
            raise RuntimeError(f"not all subscriptions were confirmed: {self.ready}")

    def mark(self) -> None:
        """Start counting from 0."""
        self._say("mark")

    def stall(self) -> None:
        """Stop reading in the receivers that should stall."""
        self._say("stall")

    def report(self) -> dict[str, Any]:
        """Return the counts since the mark."""
        return self._say("report")

    def settle(self) -> dict[str, Any]:
        """Return the counts since the mark, once they don't change any more."""
        deadline = time.monotonic() + SETTLE_SECONDS
        report = self.report()
        while time.monotonic() < deadline:
            time.sleep(0.2)
            last, report = report, self.report()
            if report["updates"] == last["updates"]:
                break
        return report

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # it exits at the end of its input

    def _say(self, command: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the receivers ended early; see above")
        return json.loads(line)


class Publisher:
    """Publishes books. Each differs a little from the one before, also across calls."""

    def __init__(self, tools: Tools, port: int, **flags: object) -> None:
        self._tools = tools
        self._flags = {"port": port, **flags}
        self._published = 0

    def publish(self, count: int, rate: float = 0) -> dict[str, Any]:
        """Publish ``count`` books at ``rate`` a second; 0: as fast as the server accepts them."""
        flags = {**self._flags, "count": count, "rate": rate, "first": self._published}
        command = self._tools.command("publish", machine.LOAD_CORE, flags)
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=PUBLISH_SECONDS)
        result = json.loads(done.stdout)
        self._published += count
        if result["refused"]:
            raise RuntimeError(f"the server refused updates: {result}")
        return result


def floor(
    tools: Tools, *, clients: int, size: float, rate: float, seconds: float, join: int, spin: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Send frames with the plain C loop. Return its counts and those of the receivers."""
    flags: dict[str, object] = {"clients": clients, "size": round(size), "rate": rate}
    flags |= {"seconds": seconds, "join": join}
    sender = subprocess.Popen(
        tools.command("floor", machine.SERVER_CORE, flags),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert sender.stdin is not None and sender.stdout is not None
    try:
        port = int(sender.stdout.readline())
        receivers: dict[str, object] = {"no_handshake": True, "any": True, "spin": spin}
        with Sink(tools, port, clients, samples=20, **receivers) as sink:
            sink.mark()
            sender.stdin.write("go\n")
            sender.stdin.flush()
            sent = json.loads(sender.stdout.readline())
            return sent, sink.settle()
    finally:
        sender.communicate()
