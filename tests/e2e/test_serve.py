"""The command as its user meets it: a process, signals, exit codes."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.fakes.opend import Controller
from tests.fakes.redis_server import free_port
from tests.support import PATIENCE, command, connect, eventually, run

SOON = PATIENCE / 3

WITHOUT_UVLOOP = (
    sys.executable,
    "-c",
    "import sys; sys.modules['uvloop'] = None; import bookcast.cli.main as m; sys.exit(m.main())",
)


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run where no .env is."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_command_cleanly_and_soon(number: signal.Signals) -> None:
    """Clients are told, the exit code is 0, and no traceback is logged."""
    with command("serve", "--port", "0", "--feed", "simulator") as served:
        async with connect(served.http_url.replace("http", "ws") + "/ws/me") as client:
            await client.subscribe("US.AAPL")
            assert (await client.hear())["type"] == "orderbook_update"
            code, seconds = served.end(number)
            await client.connection.wait_closed()
            assert client.connection.close_code == 1012
        assert code == 0
        assert seconds < SOON
        assert served.process.stderr is not None
        assert "Traceback" not in served.process.stderr.read()


async def test_standard_files_that_are_closed_are_not_missed() -> None:
    """Whoever starts a service may leave none of them open."""
    closing = ("sh", "-c", 'exec "$0" -m bookcast "$@" <&- >&-', sys.executable)
    with command("serve", "--port", "0", prefix=closing) as served:
        async with connect(served.http_url.replace("http", "ws") + "/ws/me") as client:
            assert await client.silent()
        served.process.send_signal(signal.SIGHUP)
        assert served.end(signal.SIGTERM)[0] == 0


def test_a_log_that_cannot_be_written_is_done_without() -> None:
    """Its file may be closed as well."""
    port = free_port()
    silent = subprocess.Popen(
        ["sh", "-c", 'exec "$0" -m bookcast serve --port "$1" 2>&-', sys.executable, str(port)]
    )
    try:
        deadline = time.monotonic() + 2 * PATIENCE
        while True:
            with contextlib.suppress(httpx.HTTPError):
                assert httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200
                break
            assert time.monotonic() < deadline
            assert silent.poll() is None
    finally:
        silent.terminate()
        assert silent.wait(PATIENCE) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_command_with_the_futu_feed_as_soon(
    number: signal.Signals,
) -> None:
    """The vendor's package has a handler and threads of its own, which are kept out of it."""
    opend = Controller()
    try:
        with command("serve", "--port", "0", "--feed", "futu", "--futu-port", str(opend.port)) as s:
            async with connect(s.http_url.replace("http", "ws") + "/ws/me") as client:
                await client.subscribe("HK.00700")
                await eventually(lambda: opend.subscriptions() == ["HK.00700"], "the subscription")
                code, seconds = s.end(number)
            assert code == 0
            assert seconds < SOON
            assert s.process.stderr is not None
            assert "Traceback" not in s.process.stderr.read()
    finally:
        opend.close()


async def test_the_server_runs_without_uvloop() -> None:
    """As on Windows, where OpenD's users are."""
    with command("demo", "--port", "0", prefix=WITHOUT_UVLOOP) as served:
        async with connect(served.http_url.replace("http", "ws") + "/ws/me") as client:
            await client.subscribe("US.AAPL")
            assert (await client.hear())["type"] == "orderbook_update"
        code, seconds = served.end(signal.SIGTERM)
        assert code == 0
        assert seconds < SOON


def test_a_taken_port_is_one_sentence_and_code_2() -> None:
    """No traceback reaches the user."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", environ={"WEBSOCKET_PORT": str(port)})
    assert result.returncode == 2
    assert result.stderr.startswith(f"bookcast: Port {port} on 127.0.0.1 is already in use")
    assert result.stderr.count("\n") == 1


def test_production_does_not_start_open_by_accident() -> None:
    """It must be told so in words."""
    result = run("serve", environ={"ENVIRONMENT": "production"})
    assert result.returncode == 2
    assert "AUTH_MODE=none" in result.stderr


def test_the_environment_configures_the_command() -> None:
    """As a container does it."""
    environ = {"WEBSOCKET_PORT": "0", "ENVIRONMENT": "production", "AUTH_MODE": "none"}
    with command("serve", environ=environ) as served:
        assert httpx.get(served.http_url + "/health", trust_env=False).status_code == 200


def test_the_demo_says_first_what_to_open() -> None:
    """Under the name that people know this machine by, also where nobody looks at a terminal."""
    with command("demo", "--port", "0") as running:
        port = running.http_url.rpartition(":")[2]
        assert running.log[0] == f"open http://localhost:{port}/\n"
