"""Several processes that share a port, run by the command, on a real Redis."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from bookcast.cli.workers import hold_port, worker_of
from bookcast.compose import Worker
from bookcast.errors import StartupError
from tests.support import PATIENCE, Command, command, connect, run


def read(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return json.load(answer)


def health(url: str) -> Any:
    return read(url + "/health")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 2 * PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def all_answer(url: str, count: int) -> bool:
    found = health(url)
    return bool(found["workers"] == {"answered": count, "all": count})


def children(running: Command) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(running.process.pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(pid) for pid in found.stdout.split()]


def test_a_process_knows_whether_it_is_a_worker() -> None:
    """By a variable that its parent sets."""
    assert worker_of({}) is None
    assert worker_of({"BOOKCAST_WORKER": "abc/2/4"}) == Worker("abc", 2, 4)


def test_a_held_port_is_free_for_workers_alone() -> None:
    """Another program can't take it meanwhile."""
    [held], port = hold_port("127.0.0.1", 0)
    with held, socket.socket() as worker, socket.socket() as other:
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind(("127.0.0.1", port))
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        with pytest.raises(StartupError, match="can't be had"):
            hold_port("127.0.0.1", port)  # another group of workers


def test_a_taken_port_is_one_clear_sentence() -> None:
    """It names the setting."""
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(StartupError, match=r"can't be had for several workers.*WEBSOCKET_PORT"),
    ):
        hold_port("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(StartupError, match=r"HOST is 'no-such-host\.invalid'"):
        hold_port("no-such-host.invalid", 0)
    with pytest.raises(StartupError, match="HOST is"):
        hold_port("a..b", 0)


def test_without_redis_several_workers_are_refused() -> None:
    """In a sentence that says what to set."""
    result = run("serve", "--workers", "2")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "REDIS_URL" in result.stderr


async def test_workers_share_the_port_and_one_runs_the_feed(redis_url: str) -> None:
    """One that dies is started again; SIGTERM ends all of them, with code 0."""
    environ = {"REDIS_URL": redis_url, "FEED": "simulator", "DRAIN_SECONDS": "0"}
    with command("serve", "--workers", "2", "--port", "0", environ=environ) as running:
        url = running.http_url
        wait_for(lambda: all_answer(url, 2))
        async with connect(url.replace("http", "ws") + "/ws/me?symbols=AAPL") as client:
            assert (await client.hear())["type"] == "subscription_confirmed"
            assert (await client.hear())["type"] == "orderbook_update"
            wait_for(lambda: health(url)["connections"] == 1)
            # The other one hears of it with its next pulse.
            wait_for(
                lambda: (
                    [node["leads"] for node in read(url + "/stats")["cluster"]["nodes"]].count(True)
                    == 1
                )
            )
        first, _ = children(running)
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: first not in children(running) and len(children(running)) == 2)
        wait_for(lambda: all_answer(url, 2))
        code, seconds = running.end(signal.SIGTERM)
        assert code == 0
        assert seconds < PATIENCE


def test_a_worker_that_can_not_begin_says_why_and_ends_all(redis_url: str) -> None:
    """As with a wrong setting that only shows when it starts."""
    result = run(
        "serve",
        "--workers",
        "2",
        "--port",
        "0",
        "--auth-mode",
        "keys",
        "--auth-api-keys-file",
        "/nowhere",
        environ={"REDIS_URL": redis_url},
    )
    assert result.returncode == 2
    assert "/nowhere" in result.stderr
    assert not re.search("Traceback", result.stderr)
