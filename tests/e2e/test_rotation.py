"""Keys, secrets and passwords that change while real servers run, with clients on them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import redis

from bookcast.auth.keys import make_key
from tests.fakes.redis_server import HOST, RedisServer
from tests.support import PATIENCE, Client, Command, command, connect, run

IN_TIME = 6.0
"""Seconds from a change to the close of the connections that it concerns."""

OLD = "an old secret of more than thirty-two bytes"
NEW = "a new secret of more than thirty-two bytes"
BOOK = {"bids": [[1, 2]], "asks": [[3, 4]]}
WITHOUT_TERMINAL = ("sh", "-c", 'exec "$0" -m bookcast "$@" < /dev/null', sys.executable)


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run in a folder of its own, with its own .env."""
    monkeypatch.chdir(tmp_path)


def write(path: str, text: str) -> None:
    """Write a file as an editor does, in its place."""
    Path(path).write_text(text)


def serving(*arguments: str, **environ: str) -> Any:
    return command("serve", "--port", "0", *arguments, environ=environ, prefix=WITHOUT_TERMINAL)


def token(secret: str, kid: str | None = None, **claims: Any) -> str:
    headers = None if kid is None else {"kid": kid}
    said = {"sub": "alice", "exp": time.time() + 600, **claims}
    return jwt.encode(said, secret, "HS256", headers)


@asynccontextmanager
async def with_credential(served: Command, credential: str) -> AsyncIterator[Client]:
    """Connect with a token or key."""
    url = served.http_url.replace("http", "ws") + "/ws/" + credential[-8:]
    headers = {"Authorization": f"Bearer {credential}"}
    async with connect(url, additional_headers=headers) as client:
        await client.subscribe("US.AAPL")
        yield client


async def closed_within(client: Client, seconds: float) -> int | None:
    """Wait for the end of a connection, and return its code."""
    async with asyncio.timeout(seconds):
        await client.connection.wait_closed()
    return client.connection.close_code


async def health(served: Command, condition: Callable[[Any], bool]) -> Any:
    """Ask for /health until it says what is expected."""
    deadline = time.monotonic() + PATIENCE
    async with httpx.AsyncClient(base_url=served.http_url, trust_env=False) as http:
        while True:
            said = (await http.get("/health")).json()
            if condition(said):
                return said
            assert time.monotonic() < deadline, said
            await asyncio.sleep(0.05)


async def status(served: Command, key: str) -> int:
    """Publish something, and return the answer's status."""
    async with httpx.AsyncClient(base_url=served.http_url, trust_env=False) as http:
        answer = await http.post(
            "/broadcast/orderbook?symbol=AAPL", json=BOOK, headers={"X-API-Key": key}
        )
        return answer.status_code


async def test_a_revoked_key_ends_its_connections_and_no_others() -> None:
    """Within two seconds of the file; rights that became fewer hold for who stays."""
    (one, one_hash), (two, two_hash) = make_key(), make_key()
    tables = [f'[keys.{n}]\nsha256 = "{h}"\n' for n, h in (("one", one_hash), ("two", two_hash))]
    scope = 'scope = "read publish"\n'
    path = "keys.toml"
    write(path, scope.join([*tables, ""]))
    with serving(AUTH_MODE="keys", AUTH_API_KEYS_FILE="keys.toml") as served:
        async with with_credential(served, one) as gone, with_credential(served, two) as stays:
            assert await status(served, one) == 200
            write(path, tables[1] + 'scope = "read"\n')
            assert await closed_within(gone, IN_TIME) == 4010
            assert await status(served, one) == 401
            assert await status(served, two) == 403
            await stays.hear()
            assert await stays.silent()
            write(path, "[keys")
            said = await health(served, lambda one: "detail" in one["settings"])
            assert said["status"] == "degraded"
            assert "keys.toml is not TOML" in said["settings"]["detail"]
            assert await stays.silent()
            write(path, scope.join([*tables, ""]))
            await health(served, lambda one: one["status"] == "healthy")
            assert await status(served, two) == 200


async def test_a_secret_is_rotated_without_anybody_noticing() -> None:
    """First both secrets are valid, then only the new one; a client with an old token is closed."""
    path = "secrets.toml"
    write(path, f'[secrets]\nold = "{OLD}"\n')
    with serving(AUTH_MODE="jwt", AUTH_JWT_SECRETS_FILE="secrets.toml") as served:
        async with with_credential(served, token(OLD, "old")) as old:
            write(path, f'[secrets]\nold = "{OLD}"\nnew = "{NEW}"\n')
            served.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + PATIENCE
            while True:
                with contextlib.suppress(Exception):
                    async with with_credential(served, token(NEW)):
                        break
                assert time.monotonic() < deadline
            async with with_credential(served, token(NEW, "new")) as new:
                assert await old.silent()
                write(path, f'[secrets]\nnew = "{NEW}"\n')
                assert await closed_within(old, IN_TIME) == 4010
                assert await new.silent()


async def test_sighup_reads_env_again_and_tells_what_it_cannot_change() -> None:
    """What the environment or a flag says is fixed; the rest takes a restart."""
    env = ".env"
    write(env, f"AUTH_MODE=jwt\nAUTH_JWT_SECRET={OLD}\n")
    with serving("--log-level", "info") as served:
        async with with_credential(served, token(OLD)) as old:
            write(env, f"AUTH_MODE=jwt\nAUTH_JWT_SECRET={NEW}\nLOG_LEVEL=debug\nPING_TIMEOUT=3\n")
            await asyncio.sleep(1)
            assert await old.silent()  # .env isn't watched
            served.process.send_signal(signal.SIGHUP)
            assert await closed_within(old, IN_TIME) == 4010
            said = await health(served, lambda one: "restart_for" in one["settings"])
            assert said["settings"] == {"fixed": ["LOG_LEVEL"], "restart_for": ["PING_TIMEOUT"]}
        async with with_credential(served, token(NEW)):
            pass
        assert served.end(signal.SIGTERM)[0] == 0


async def test_the_password_of_redis_is_rotated(tmp_path: Path) -> None:
    """Whichever side has it first, and though Redis cut all connections."""
    path = "redis-url"
    with RedisServer(tmp_path / "redis", password="old") as server:
        write(path, server.url)
        with serving(REDIS_URL_FILE="redis-url") as served:
            await health(served, lambda one: one["engine"]["state"] == "connected")
            write(path, server.url.replace(":old@", ":new@"))
            said = await health(served, lambda one: "detail" in one["settings"])
            assert "refuses the password in REDIS_URL" in said["settings"]["detail"]
            assert await status(served, "") == 200
            with redis.Redis(HOST, server.port, password="old") as admin:
                admin.config_set("requirepass", "new")
                admin.client_kill_filter(_type="normal", skipme=True)
                admin.client_kill_filter(_type="pubsub", skipme=True)
                await health(served, lambda one: one["status"] == "healthy")
                assert await status(served, "") == 200
                admin.config_set("requirepass", "old")


async def test_workers_are_told_as_well(tmp_path: Path) -> None:
    """By their parent."""
    with contextlib.ExitStack() as stack:
        redis_server = stack.enter_context(RedisServer(tmp_path))
        write(".env", f"AUTH_MODE=jwt\nAUTH_JWT_SECRET={OLD}\n")
        served = stack.enter_context(serving("--workers", "2", REDIS_URL=redis_server.url))
        served.wait_for_log("serving at")
        async with contextlib.AsyncExitStack() as clients:
            olds = [
                await clients.enter_async_context(with_credential(served, token(OLD, jti=number)))
                for number in "abcdef"
            ]
            write(".env", f"AUTH_MODE=jwt\nAUTH_JWT_SECRET={NEW}\n")
            served.process.send_signal(signal.SIGHUP)
            codes = await asyncio.gather(*(closed_within(one, IN_TIME) for one in olds))
            assert codes == [4010] * 6
        async with with_credential(served, token(NEW)):
            pass
        assert served.end(signal.SIGTERM)[0] == 0


def test_closing_its_terminal_ends_a_server() -> None:
    """As it does any other program there."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "bookcast", "serve", "--port", "0"],
        stdin=follower,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Tests that are run under nohup hand on that the signal is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )
    try:
        assert process.stderr is not None
        assert "serving at" in process.stderr.readline()
        process.send_signal(signal.SIGHUP)
        assert process.wait(PATIENCE) == -signal.SIGHUP
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
        os.close(leader)
        os.close(follower)


def test_a_token_can_be_made_with_the_newest_of_several_secrets() -> None:
    """Named in its head."""
    write("secrets.toml", f'[secrets]\nold = "{OLD}"\nnew = "{NEW}"\n')
    result = run("token", "alice", environ={"AUTH_JWT_SECRETS_FILE": "secrets.toml"})
    made = result.stdout.strip()
    assert jwt.get_unverified_header(made)["kid"] == "new"
    assert jwt.decode(made, NEW, ["HS256"])["sub"] == "alice"
    assert json.dumps(result.stderr) == '""'
