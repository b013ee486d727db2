"""The load: receivers and publishers, both in C so that they aren't what is measured."""

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
"""At most, for one run of the publisher."""


def subscribe_v1(**view: object) -> str:
    """Make the message that subscribes to all symbols in a view."""
    return (
        '{"action":"subscribe","symbols":[@@]'
        + "".join(f',"{name}":{json.dumps(value)}' for name, value in view.items())
        + "}"
    )


PROTOCOLS: dict[str, dict[str, object]] = {
    # How a receiver of each kind sees whole books.
    "base": {"subscribe": SUBSCRIBE_BASE},
    "v1": {"protocol": "bookcast.v1", "subscribe": subscribe_v1(mode="full")},
}


class Tools:
    """The C programs, compiled into a folder that is gone afterwards."""

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
        """Make the command line of one of them: spin=True is --spin, port=1 is --port 1."""
        words: list[object] = []
        for key, value in flags.items():
            if value is not None and value is not False:
                words.append("--" + key.replace("_", "-"))
                words += [] if value is True else [value]
        return machine.pinned(core, self._path / name, *words)


class Sink:
    """Receivers: connected, subscribed, and counting. Use it in a with statement."""

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
        """Count from here."""
        self._say("mark")

    def stall(self) -> None:
        """Stop reading in those that were made to stall."""
        self._say("stall")

    def report(self) -> dict[str, Any]:
        """Return what came since the mark."""
        return self._say("report")

    def settle(self) -> dict[str, Any]:
        """Return what came since the mark, once nothing more comes."""
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
        self._process.communicate()  # the end of its input ends it

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
    """Publishes books, each a small step from the one before, also from one call to the next."""

    def __init__(self, tools: Tools, port: int, **flags: object) -> None:
        self._tools = tools
        self._flags = {"port": port, **flags}
        self._published = 0

    def publish(self, count: int, rate: float = 0) -> dict[str, Any]:
        """Publish so many, so many a second, or as fast as they are taken."""
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
    """Send frames with the plain C loop; give what it and the receivers counted."""
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
