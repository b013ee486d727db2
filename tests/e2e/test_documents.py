"""Commands of CONTRIBUTING.md, docs/deployment.md and docs/security.md, run as they are printed.

Only ports are others, so that tests can run side by side. What needs Docker, or systemd as the
first process of a machine, is checked for its syntax.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from bookcast.auth.keys import ApiKeys, RightsFile, make_key, read_secrets
from bookcast.auth.tokens import Tokens, keys_of
from bookcast.settings import load
from tests.auth.keyring import SECRET, sign
from tests.fakes.redis_server import HOST, RedisServer, free_port
from tests.support import PATIENCE, ROOT, missing

BOOK = {"bids": [[1, 2]], "asks": [[3, 4]]}


class Block(NamedTuple):
    """One indented block of a document, and where it stands."""

    place: str
    text: str


def blocks(name: str) -> list[Block]:
    """Read all indented blocks of a document."""
    found: list[Block] = []
    lines: list[str] = []
    text = (ROOT / "docs" / name).read_text()
    for number, line in enumerate([*text.splitlines(), "end"], 1):
        if line.startswith("    ") or (lines and not line):
            lines.append(line.removeprefix("    "))
        elif lines:
            found.append(Block(f"{name}:{number - len(lines)}", "\n".join(lines).strip()))
            lines = []
    return found


BLOCKS = [*blocks("deployment.md"), *blocks("security.md")]

KINDS = {
    "server": r"bookcast serve( --workers \d+)?$",
    "background": r"bookcast serve &",
    "removal": r"\Acurl --request DELETE localhost:8002/",
    "docker": r"\bdocker\b",
    "systemd": r"^(systemctl|journalctl)\b",
    "rolling restart": r"\bssh \$host\b",
    "settings": r"\A[A-Z_]+=\S+(\s+#.*)?$",
    "redis.conf": r"^maxmemory\b",
    "redis-cli": r"\AACL SETUSER",
    "secrets": r"\A\[secrets\]",
    "keys": r"\A\[keys\.",
    "rights": r"\A\[default\]",
    "claims": r'\A\{"sub"',
    "log": r'\A\{"event"',
}
"""What a block may be, by a sign of it; the first that fits."""


def kind_of(block: Block) -> str:
    """Return the kind of a block, or an empty string if it has none."""
    fitting = (kind for kind, sign in KINDS.items() if re.search(sign, block.text, re.MULTILINE))
    return next(fitting, "")


def of_kind(*kinds: str) -> Any:
    """Return a parametrization that runs a test once for each block of these kinds."""
    found = [block for block in BLOCKS if kind_of(block) in kinds]
    assert found, kinds
    return pytest.mark.parametrize("block", found, ids=[block.place for block in found])


def test_every_block_is_checked_by_a_test() -> None:
    """A new command of a kind of its own needs a test of its own."""
    assert [block.place for block in BLOCKS if not kind_of(block)] == []
    assert {kind_of(block) for block in BLOCKS} == set(KINDS)


# --- Commands


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run in an empty folder, with the command on the PATH."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")


class Running(NamedTuple):
    """What a block started."""

    url: str
    output: Path

    def wait_until_ready(self) -> None:
        """Wait for /readyz, and fail with what was written when it takes too long."""
        deadline = time.monotonic() + 2 * PATIENCE
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", trust_env=False).status_code == 200:
                    return
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.1)

    def wait_for_token(self) -> str:
        """Wait until a token is written, and return it."""
        deadline = time.monotonic() + 2 * PATIENCE
        while not (found := re.findall(r"^eyJ\S+$", self.output.read_text(), re.MULTILINE)):
            assert time.monotonic() < deadline, self.output.read_text()
            time.sleep(0.1)
        [token] = found
        return str(token)

    def wait_for_engine(self, state: str) -> None:
        """Wait until its engine is in a state."""
        deadline = time.monotonic() + PATIENCE
        while True:
            engine = httpx.get(f"{self.url}/health", trust_env=False).json()["engine"]
            if engine["state"] == state:
                return
            assert time.monotonic() < deadline, engine
            time.sleep(0.1)

    def publish(self, token: str = "") -> int:
        """Publish a book, and return the answer's status."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{self.url}/broadcast/orderbook?symbol=AAPL"
        return httpx.post(url, json=BOOK, headers=headers, trust_env=False).status_code


@contextlib.contextmanager
def running(text: str) -> Iterator[Running]:
    """Run a block in a shell, and end all that it started."""
    port = free_port()
    output = Path("output")
    with output.open("wb") as stream:
        process = subprocess.Popen(
            ["bash", "-euc", text],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "WEBSOCKET_PORT": str(port)},
        )
    try:
        yield Running(f"http://127.0.0.1:{port}", output)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)


def made_by_bookcast(*arguments: str, **environ: str) -> str:
    """Run a short command, and return what it prints."""
    result = subprocess.run(
        ["bookcast", *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=2 * PATIENCE,
        env={**os.environ, **environ},
    )
    return result.stdout.strip()


@of_kind("server")
def test_a_command_serves(block: Block, tmp_path: Path) -> None:
    """It gets ready, and takes publications of those who may."""
    text, redis = block.text, contextlib.ExitStack()
    with redis:
        if "localhost:6379" in text:
            server = redis.enter_context(RedisServer(tmp_path / "redis"))
            text = text.replace("localhost:6379", f"{HOST}:{server.port}")
        with running(text) as served:
            served.wait_until_ready()
            if "AUTH_JWT_SECRET_FILE" in text:
                assert served.publish() == 401
                environ = {"AUTH_JWT_SECRET_FILE": "jwt-secret"}
                token = made_by_bookcast("token", "me", "--scope", "publish", **environ)
                assert served.publish(token) == 200
            elif "AUTH_JWKS_URL" in text:
                assert served.publish() == 401
                # Its issuer doesn't exist.
                assert served.publish(sign()) == 401
            else:
                assert served.publish() == 200
                served.wait_for_engine("connected")


@of_kind("background")
def test_a_server_beside_the_shell_takes_the_token_that_is_printed(block: Block) -> None:
    """Of the same secret, for what it is for."""
    with running(block.text + "\nwait") as served:
        served.wait_until_ready()
        headers = {"Authorization": f"Bearer {served.wait_for_token()}"}
        for symbol, expected in (("US.AAPL", 404), ("HK.00700", 403)):
            answer = httpx.get(f"{served.url}/books/{symbol}", headers=headers, trust_env=False)
            assert answer.status_code == expected


@of_kind("removal")
def test_a_topic_is_removed(block: Block) -> None:
    """No client gets its book any more; a second removal finds none."""
    if shutil.which("curl") is None:
        missing("no curl on the PATH")
    with running("bookcast serve") as served:
        served.wait_until_ready()
        assert served.publish() == 200
        command = block.text.replace("localhost:8002", served.url) + " --silent --noproxy '*' "
        for expected in (204, 404):
            answer = subprocess.run(
                ["bash", "-euc", command + "--output /dev/null --write-out '%{http_code}'"],
                capture_output=True,
                text=True,
                check=True,
                timeout=PATIENCE,
            )
            assert answer.stdout == str(expected)
        url = f"{served.url}/books/AAPL"
        assert httpx.get(url, trust_env=False).status_code == 404


@of_kind("docker", "systemd", "rolling restart")
def test_a_command_for_other_machines_is_understood_by_the_shell(block: Block) -> None:
    """And names programs that there are, with their subcommands spelt right."""
    result = subprocess.run(
        ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    for program, known in (
        ("docker compose --profile scaled", {"up", "ps", "build"}),
        ("docker", {"compose", "restart", "inspect", "stop", "rm"}),
        ("systemctl", {"restart"}),
    ):
        assert set(re.findall(rf"\b{program} ([a-z]+)", block.text)) <= known


MACHINES = r"""#!/bin/bash
# Stands for ssh: the machine is a process here, that "systemctl restart bookcast" ends and starts.
set -eu
host=$1; shift
test "$*" = "systemctl restart bookcast"
echo "$host" >> restarted
kill "$(cat "$host.pid")"
state() { cut -d " " -f 3 "/proc/$(cat "$host.pid")/stat" 2> /dev/null || echo Z; }
while [ "$(state)" != Z ]; do sleep 0.05; done
WEBSOCKET_PORT=$(cat "$host.port") nohup bookcast serve > /dev/null 2>&1 < /dev/null &
echo $! > "$host.pid"
"""


@of_kind("rolling restart")
def test_a_rolling_restart_waits_for_each_node(block: Block) -> None:
    """All come back, one after the other, with ssh and names played and curl real."""
    if (curl := shutil.which("curl")) is None:
        missing("no curl on the PATH")
    hosts = ["node1", "node2", "node3"]
    tools = Path("tools")
    tools.mkdir()
    ports = {host: free_port() for host in hosts}
    routes = " ".join(f"--connect-to {host}:8002:127.0.0.1:{ports[host]}" for host in hosts)
    for name, text in (
        ("ssh", MACHINES),
        ("curl", f'#!/bin/bash\nexec {curl} --noproxy "*" {routes} "$@"\n'),
    ):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    environ = {**os.environ, "PATH": f"{tools.absolute()}:{os.environ['PATH']}"}
    pids: set[int] = set()
    try:
        for host, port in ports.items():
            Path(f"{host}.port").write_text(str(port))
            first = subprocess.Popen(
                [
                    "bash",
                    "-c",
                    'bookcast serve > /dev/null 2>&1 < /dev/null & echo $! > "$0.pid"',
                    host,
                ],
                env={**environ, "WEBSOCKET_PORT": str(port)},
            )
            first.wait(PATIENCE)
        for host, port in ports.items():
            Running(f"http://127.0.0.1:{port}", Path("/dev/null")).wait_until_ready()
            pids.add(int(Path(f"{host}.pid").read_text()))
        subprocess.run(["bash", "-euc", block.text], env=environ, check=True, timeout=6 * PATIENCE)
        assert Path("restarted").read_text().split() == hosts
        for host, port in ports.items():
            assert int(Path(f"{host}.pid").read_text()) not in pids
            assert httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
    finally:
        for host in hosts:
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(Path(f"{host}.pid").read_text()), signal.SIGTERM)


# --- Samples


@of_kind("settings")
def test_settings_are_what_a_file_of_settings_may_hold(block: Block) -> None:
    """Each is one, with a value that it takes."""
    path = Path(".env")
    path.write_text(block.text)
    names = set(re.findall(r"^([A-Z_]+)=", block.text, re.MULTILINE))
    sources = load({}, {}, path).sources
    assert {field.upper() for field in sources} == names


@of_kind("redis.conf")
def test_redis_takes_its_configuration(block: Block, tmp_path: Path) -> None:
    """All of it, as a file."""
    if (program := shutil.which("redis-server")) is None:
        missing("no redis-server on the PATH")
    path = tmp_path / "redis.conf"
    sock = tmp_path / "redis.sock"
    path.write_text(f"{block.text}\nport 0\nunixsocket {sock}\n")
    process = subprocess.Popen([program, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "eady to accept" in line:
                break
        assert "eady to accept" in lines[-1], lines
    finally:
        process.terminate()
        process.wait(PATIENCE)
        if process.stdout is not None:
            process.stdout.close()


@of_kind("redis-cli")
def test_the_user_for_bookcast_is_enough_for_it(block: Block, tmp_path: Path) -> None:
    """It publishes and lists as ever, and may touch nothing else."""
    with RedisServer(tmp_path / "redis") as server:
        server.cli(*block.text.split())
        url = f"redis://bookcast:PASSWORD@{HOST}:{server.port}"
        with running(f"REDIS_URL={url} bookcast serve") as served:
            served.wait_until_ready()
            assert served.publish() == 200
            stats = httpx.get(f"{served.url}/stats", trust_env=False).json()
            assert stats["topics_published"] == 1
            health = httpx.get(f"{served.url}/health", trust_env=False).json()
            assert health["status"] == "healthy"


@of_kind("secrets", "keys", "rights")
def test_a_file_of_keys_or_rights_is_understood(block: Block) -> None:
    """With a hash in place of the dots."""
    path = Path("sample.toml")
    path.write_text(block.text.replace('"…"', f'"{"a" * 64}"'))
    match kind_of(block):
        case "secrets":
            assert len(read_secrets(str(path))) == 2
        case "keys":
            path.write_text(block.text.replace("…", make_key()[1]))
            ApiKeys.read(str(path), "US")
        case "rights":
            assert RightsFile.read(str(path)).grants("alice")[0].max_depth == 50


@of_kind("claims")
def test_a_token_with_these_claims_is_believed(block: Block) -> None:
    """And gives these rights."""
    tokens = Tokens(
        keys_of(secret=SECRET, public_key_file=None, jwks=None),
        audience=None,
        issuer=None,
        skew=10.0,
        rights=RightsFile(),
        default_market="US",
    )
    claims = {**json.loads(block.text), "exp": int(time.time()) + 60}
    rights = tokens.verify(sign(claims)).rights
    assert rights.scopes == {"read", "publish"}
    assert rights.max_depth == 10


@of_kind("log")
def test_a_line_of_the_log_has_the_fields_that_are_written(block: Block) -> None:
    """In this order, of a real connection: see tests/e2e/test_log.py for their values."""
    printed = json.loads(block.text.replace("\n", ""))
    assert printed["event"] == "connection closed"
    assert {"client_id", "connection", "principal", "address", "code", "duration_s", "node"} <= set(
        printed
    )


# --- For contributors

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
SHELL = re.findall(r"```sh\n(.*?)```", CONTRIBUTING, re.DOTALL)
COMMANDS = [re.sub(r"\s+#.*|\s+&$", "", line) for block in SHELL for line in block.splitlines()]
NAMED = re.findall(r"`((?:make|npm|\.venv/bin/)[^`…]*)`", CONTRIBUTING)


@pytest.mark.parametrize("command", dict.fromkeys([*COMMANDS, *NAMED]))
def test_a_contributors_command_is_one_that_there_is(command: str) -> None:
    """A target of make that its help lists, a script of npm, or a program that has the flags."""
    words = shlex.split(command)
    flags = {word for word in words if re.fullmatch(r"--[a-z-]+", word)}
    match words:
        case ["make", target, *_]:
            dry = ["make", "--dry-run", "--no-print-directory", *words[1:]]
            subprocess.run(dry, cwd=ROOT, check=True, capture_output=True, timeout=2 * PATIENCE)
            assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case ["npm", "--prefix", folder, *names]:
            scripts = json.loads((ROOT / folder / "package.json").read_text())["scripts"]
            assert names[-1] in scripts
        case [".venv/bin/python", "-m", "pytest", path, *_]:
            assert (ROOT / path).exists()
        case [".venv/bin/python", "-m", module, *_]:
            shown = help_of([sys.executable, "-m", module])
            assert flags <= set(re.findall(r"--[a-z-]+", shown))
        case [".venv/bin/bookcast", name, *_]:
            assert flags <= set(re.findall(r"--[a-z-]+", help_of(["bookcast", name])))
        case _:
            pytest.fail("no test knows this command")


def help_of(program: list[str]) -> str:
    """Return what a program prints when it is asked for help."""
    return subprocess.run(
        [*program, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=2 * PATIENCE,
    ).stdout


def test_without_an_account_there_is_a_simulated_opend() -> None:
    """It and the server find each other, as the block says."""
    [block] = [block for block in SHELL if "tests.fakes.opend" in block]
    port = free_port()
    text = block.replace("11111", str(port)).replace(".venv/bin/python", sys.executable)
    text = text.replace(".venv/bin/bookcast", "bookcast")
    with running(f"export PYTHONPATH='{ROOT}' FUTU_PORT={port}\n{text}") as served:
        served.wait_until_ready()
        deadline = time.monotonic() + 2 * PATIENCE
        while True:
            [feed] = httpx.get(f"{served.url}/health", trust_env=False).json()["feeds"]
            if feed["state"] == "connected":
                break
            assert time.monotonic() < deadline, feed
            time.sleep(0.1)


def test_the_folders_that_contributors_are_sent_to_are_there() -> None:
    """In the table, and in the lists of steps."""
    steps = CONTRIBUTING.partition("\n## Where things are\n")[2]
    for name in re.findall(r"`((?:src|tests|clients|web|docs|examples)/[\w/.]+)`", steps):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`((?!src/|tests/)[a-z]\w*(?:/\w+)*\.py)`", steps):
        assert (ROOT / "src" / "bookcast" / name).exists(), name
