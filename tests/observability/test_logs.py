import contextlib
import json
import logging
import os
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from bookcast.observability import logs
from bookcast.settings import from_keywords
from tests.support import PATIENCE


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """Leave the process's logging as it was."""
    root = logging.getLogger()
    handlers, level, own = root.handlers, root.level, logging.getLogger("bookcast").level
    root.handlers = []
    yield
    root.handlers = handlers
    root.setLevel(level)
    logging.getLogger("bookcast").setLevel(own)


def configured(capfd: pytest.CaptureFixture[str], **settings: Any) -> "Log":
    logs.configure(from_keywords(auth_mode="none", **settings), node="n0de")
    return Log(capfd)


class Log:
    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd

    def text(self) -> str:
        """Return what was written since the last time."""
        [handler] = logging.getLogger().handlers
        assert isinstance(handler, logs.Writer)
        assert handler.wait_until_written(PATIENCE)
        return self._capfd.readouterr().err

    def entries(self) -> list[Any]:
        """Read it as JSON."""
        return [json.loads(line) for line in self.text().splitlines()]


def test_development_logs_lines_for_people(capfd: pytest.CaptureFixture[str]) -> None:
    """Level, sentence, fields and the module's name, at the level asked for."""
    log = configured(capfd, log_level="info")
    logging.getLogger("bookcast.hub").info("client came", extra={"client_id": "me"})
    logging.getLogger("bookcast.hub").debug("unseen")
    line = log.text()
    assert "client came" in line
    assert "client_id=me" in line
    assert "[bookcast.hub]" in line
    assert "unseen" not in line


def test_production_logs_json_without_the_values_of_variables(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """One object a line; a traceback never shows what variables held."""
    log = configured(capfd, environment="production")
    secret = "hush"
    try:
        int(secret[:0])
    except ValueError:
        logging.getLogger("bookcast.app").exception("it failed")
    text = log.text()
    entry = json.loads(text)
    assert (entry["event"], entry["level"], entry["logger"], entry["node"]) == (
        "it failed",
        "error",
        "bookcast.app",
        "n0de",
    )
    assert "ValueError" in entry["exception"]
    assert "hush" not in text


def test_fields_are_fields_of_the_object(capfd: pytest.CaptureFixture[str]) -> None:
    """And not only words in a sentence."""
    log = configured(capfd, environment="production")
    logging.getLogger("bookcast.app").info("closed", extra={"code": 1000, "reasons": {"a": 2}})
    [entry] = log.entries()
    assert (entry["event"], entry["code"], entry["reasons"]) == ("closed", 1000, {"a": 2})


@pytest.mark.parametrize("text", ["a" * 60_000, "\ud800" * 3, "日" * 5000, "a\nb"])
def test_what_is_too_long_or_odd_stays_one_short_line(
    capfd: pytest.CaptureFixture[str], text: str
) -> None:
    """Whoever chose it."""
    log = configured(capfd, environment="production", log_level="debug")
    logging.getLogger("bookcast.app").debug("said %s", text, extra={"client_id": text})
    line = log.text()
    assert line.count("\n") == 1
    assert len(line) < 6000
    assert len(json.loads(line)["client_id"]) < 500


def test_the_same_traceback_comes_once_a_minute(capfd: pytest.CaptureFixture[str]) -> None:
    """With the number of those that were left out; others come as ever."""
    log = configured(capfd, environment="production")
    [handler] = logging.getLogger().handlers
    now = 0.0
    handler.filters = [logs.TracebackThrottle(lambda: now)]

    def fail(what: type[Exception]) -> None:
        fault = what("no good")
        logging.getLogger("bookcast.app").error("it failed", exc_info=fault)

    for _ in range(50):
        fail(ValueError)
    fail(KeyError)
    logging.getLogger("bookcast.app").error("no traceback")
    logging.getLogger("bookcast.app").error("no traceback")
    now = 61.0
    fail(ValueError)
    entries = log.entries()
    assert [(one["event"], one.get("count")) for one in entries] == [
        ("it failed", None),
        ("it failed", None),
        ("no traceback", None),
        ("no traceback", None),
        ("it failed", 50),
    ]


def fill(pipe: int) -> None:
    """Leave no room in a pipe."""
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, b"." * 4096)
    os.set_blocking(pipe, True)


def test_a_reader_that_stands_still_holds_nobody_up() -> None:
    """Lines without room are dropped and counted; who reads on is told how many."""
    reading, writing = os.pipe()
    fill(writing)
    writer = logs.Writer(writing, max_bytes=10_000)
    writer.setFormatter(logging.Formatter("%(message)s %(count)s", defaults={"count": ""}))
    record = logging.LogRecord("n", logging.INFO, "", 0, "x" * 999, None, None)
    began = time.monotonic()
    for _ in range(2000):
        writer.emit(record)
    assert time.monotonic() - began < PATIENCE / 2
    assert not writer.wait_until_written(0.01)
    assert writer.dropped > 1500
    seen = b""
    while sum(map(int, re.findall(rb"nobody read them (\d+)\n", seen))) < writer.dropped:
        seen += os.read(reading, 65536)
    assert writer.wait_until_written(PATIENCE)
    assert seen.count(b"x" * 999) == 2000 - writer.dropped


def test_a_reader_that_is_gone_is_no_fault() -> None:
    """What nobody can read is counted as dropped."""
    reading, writing = os.pipe()
    os.close(reading)
    writer = logs.Writer(writing)
    writer.setFormatter(logging.Formatter("%(message)s"))
    writer.emit(logging.LogRecord("n", logging.INFO, "", 0, "x", None, None))
    assert writer.wait_until_written(PATIENCE)
    assert writer.dropped == 1


def test_a_pipe_that_is_full_and_does_not_block_is_waited_for() -> None:
    """By the thread alone."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    writer = logs.Writer(writing)
    writer.setFormatter(logging.Formatter("%(message)s"))
    writer.emit(logging.LogRecord("n", logging.INFO, "", 0, "x" * 300_000, None, None))
    assert not writer.wait_until_written(0.1)
    left = 300_001
    while left:
        left -= len(os.read(reading, 65536))
    assert writer.wait_until_written(PATIENCE)
    assert writer.dropped == 0
