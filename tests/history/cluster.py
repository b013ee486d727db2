"""Three nodes that share a Redis, each through a proxy of its own, behind a real HAProxy."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.redis_server import HOST, RedisServer, free_port

NODES = 3
PATIENCE = 60.0
"""Seconds that a node may take to start or to end, on a machine that has other work."""

DRAIN_SECONDS = 2.0

HAPROXY = """\
global
    maxconn 2000
    tune.sndbuf.client 16384
    tune.rcvbuf.server 16384
    log stdout format raw local0 notice

defaults
    mode http
    log global
    timeout connect 500ms
    timeout check 500ms
    timeout http-request 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
    retries 2
    option redispatch 1

frontend clients
    bind {host}:{port}
    default_backend nodes

backend nodes
    balance roundrobin
    option httpchk
    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host {host}
    http-response set-header X-Node %s
    default-server check inter 200ms fall 1 rise 1
{servers}
"""

SETTINGS = {
    "HOST": HOST,
    "SESSION_TTL": "30",
    "PING_INTERVAL": "2",
    "PING_TIMEOUT": "2",
    "HEARTBEAT_MS": "1000",
    "DRAIN_SECONDS": f"{DRAIN_SECONDS:g}",
    "HISTORY_SIZE": "10000",
    "LOG_LEVEL": "info",
    "SIMULATOR_SYMBOLS": "US.SIM1,US.SIM2",
    "SIMULATOR_RATE": "5",
}

TROUBLE = re.compile(r"Traceback|fault of ours|\[(error|critical) *\]")


def missing_programs() -> list[str]:
    """Name what isn't installed and has to be."""
    return [name for name in ("haproxy", "redis-server") if shutil.which(name) is None]


class Node:
    """One ``bookcast serve``. It keeps its port, and its log, when it is started again.

    ``workers``: so many processes share its port; each of them is a node to all others.
    """

    def __init__(
        self, number: int, folder: Path, environ: Mapping[str, str], *, workers: int = 1
    ) -> None:
        self.name = f"node{number}"
        self.port = free_port()
        self.log = folder / f"{self.name}.log"
        self.proxy: FaultyProxy
        self._folder = folder
        self._environ = {**environ, "WORKERS": str(workers)}
        self.workers = workers
        self._process: subprocess.Popen[bytes] | None = None
        self._read_from = 0

    @property
    def url(self) -> str:
        """Where it serves HTTP."""
        return f"http://{HOST}:{self.port}"

    @property
    def runs(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def text(self) -> str:
        """Return the text of the node's log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    async def start(self) -> None:
        """Start it, and return once it serves."""
        assert not self.runs, f"{self.name} runs"
        self._read_from = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220 - it takes no time
                [sys.executable, "-m", "bookcast", "serve", "--port", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,  # where no .env is
                env={
                    **os.environ,
                    "PYTHONFAULTHANDLER": "1",
                    **SETTINGS,
                    "REDIS_URL": f"redis://{HOST}:{self.proxy.port}/0",
                    **self._environ,
                },
            )
        await self._serve(self.workers)

    async def _serve(self, count: int) -> None:
        """Wait until so many processes serve that have been started."""
        deadline = time.monotonic() + PATIENCE
        while self._fresh_log().count("serving at") < count:
            assert self.runs, f"{self.name} doesn't start:\n{self._fresh_log()}"
            if time.monotonic() > deadline:
                await self._end(signal.SIGABRT)  # then it says where it is
                raise AssertionError(f"{self.name} takes too long to start:\n{self._fresh_log()}")
            await asyncio.sleep(0.02)

    def _fresh_log(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._read_from)
            return log.read().decode(errors="replace")

    async def kill_worker(self, seconds: float) -> None:
        """End one of its workers as a crash would; return once another serves, or later."""
        self._read_from = self.log.stat().st_size
        os.kill(self._others()[-1], signal.SIGKILL)
        await asyncio.sleep(seconds)
        await self._serve(1)

    async def kill(self) -> None:
        """End it as a crash would."""
        await self._end(signal.SIGKILL)

    async def drain(self) -> None:
        """End it in good order."""
        began = time.monotonic()
        code = await self._end(signal.SIGTERM)
        took = time.monotonic() - began
        assert code == 0, f"{self.name} ended with {code} after {took:.1f} s"

    async def _end(self, number: int) -> int | None:
        process = self._process
        if process is None:
            return None
        others = self._others()
        process.send_signal(number)
        if number == signal.SIGKILL:
            _signal(others, number)
        process.send_signal(signal.SIGCONT)
        _signal(others, signal.SIGCONT)
        deadline = time.monotonic() + PATIENCE
        while process.poll() is None:
            if time.monotonic() > deadline:
                process.kill()
                process.wait(PATIENCE)
                break
            await asyncio.sleep(0.01)
        self._process = None
        _signal([pid for pid in others if _runs(pid)], signal.SIGKILL)
        while any(map(_runs, others)):  # noqa: ASYNC110 - they have the port until then
            await asyncio.sleep(0.01)
        return process.returncode

    def _others(self) -> list[int]:
        """Return its worker processes, if it has any."""
        assert self._process is not None
        pid = self._process.pid
        try:
            text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except FileNotFoundError:
            return []
        return list(map(int, text.split()))

    def pause(self) -> None:
        """Stop the node's processes, so that it hangs."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        _signal(self._others(), signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the stopped processes."""
        if self.runs and self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            _signal(self._others(), signal.SIGCONT)


def _signal(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _runs(pid: int) -> bool:
    """Return whether a process exists and isn't a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Cluster:
    """All of it. Only processes that it started are ended, by their ids.

    Args:
        folder: for configurations, logs and what Redis keeps.
        environ: more settings of all nodes.
        workers: so many processes the first node has.
    """

    def __init__(
        self, folder: Path, environ: Mapping[str, str] | None = None, *, workers: int = 1
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.redis = RedisServer(folder / "redis", persist=True)
        self.replica = RedisServer(folder / "replica", persist=True)
        self.nodes = [
            Node(number, folder, environ or {}, workers=1 if number else workers)
            for number in range(NODES)
        ]
        self.port = free_port()
        self._balancer: subprocess.Popen[bytes] | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await asyncio.to_thread(self.redis.start)
            stack.callback(self.redis.stop)
            stack.callback(self.replica.stop)
            await asyncio.to_thread(self._start_replica)
            for node in self.nodes:
                node.proxy = await stack.enter_async_context(FaultyProxy(self.redis.port))
                stack.push_async_callback(node.kill)
            # One after the other would take three times as long.
            await asyncio.gather(*(node.start() for node in self.nodes))
            stack.callback(self._stop_balancer)
            await self._start_balancer()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    # The balancer

    @property
    def http_url(self) -> str:
        """Where the balancer serves HTTP."""
        return f"http://{HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where WebSockets connect through the balancer; append a client id."""
        return f"ws://{HOST}:{self.port}/ws/"

    async def _start_balancer(self) -> None:
        servers = "\n".join(f"    server {node.name} {HOST}:{node.port}" for node in self.nodes)
        path = self.folder / "haproxy.cfg"
        path.write_text(HAPROXY.format(host=HOST, port=self.port, servers=servers))
        log = self.folder / "haproxy.log"
        with log.open("wb") as output:
            self._balancer = subprocess.Popen(  # noqa: ASYNC220 - it takes no time
                ["haproxy", "-db", "-f", str(path)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + PATIENCE
        while True:
            assert self._balancer.poll() is None, log.read_text()
            assert time.monotonic() < deadline, f"HAProxy doesn't listen:\n{log.read_text()}"
            try:
                _, writer = await asyncio.open_connection(HOST, self.port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return

    def _stop_balancer(self) -> None:
        if self._balancer is not None:
            self._balancer.kill()
            self._balancer.wait(PATIENCE)

    # Who runs the feed

    def leader(self) -> Node | None:
        """Return the node that runs the feed, as far as the logs show."""
        last: tuple[str, Node] | None = None
        for node in self.nodes:
            for line in node.text().splitlines():
                if "runs the feed from now on" in line and (last is None or line > last[0]):
                    last = (line, node)
        return last[1] if last is not None else None

    # Redis

    async def kill_redis(self) -> None:
        """End Redis as a crash would."""
        await asyncio.to_thread(self.redis.kill)

    async def start_redis(self, *, empty: bool) -> None:
        """Start it again, with what it had or without."""
        if empty:
            shutil.rmtree(self.redis._folder / "appendonlydir", ignore_errors=True)
        await asyncio.to_thread(self.redis.start)

    def _start_replica(self) -> None:
        self.replica.start()
        self.replica.cli("REPLICAOF", HOST, self.redis.port)

    async def fail_over(self, lag: float, seconds: float) -> None:
        """Make the replica take over ``seconds`` after Redis died, without the last writes.

        That is what was written in the ``lag`` before. Redis comes back as its replica.
        """
        await asyncio.to_thread(self.replica.cli, "REPLICAOF", "NO", "ONE")
        await asyncio.sleep(lag)
        await self.kill_redis()
        await asyncio.sleep(seconds)
        self.redis, self.replica = self.replica, self.redis
        for node in self.nodes:
            node.proxy.target = (HOST, self.redis.port)
        await asyncio.to_thread(self._start_replica)

    async def kick_subscribers(self) -> None:
        """Make Redis close every connection that has subscribed to a channel."""
        await asyncio.to_thread(self.redis.cli, "CLIENT", "KILL", "TYPE", "pubsub")

    # Afterwards

    def troubles(self) -> list[str]:
        """Return the lines of the nodes' logs that indicate a bug."""
        return [
            f"{node.name}: {line}"
            for node in self.nodes
            for line in node.text().splitlines()
            if TROUBLE.search(line)
        ]

    def logs(self, lines: int = 60) -> str:
        """Return the last lines of all logs."""
        paths = [*(node.log for node in self.nodes), self.folder / "haproxy.log"]
        shown = []
        for path in paths:
            text = path.read_text(errors="replace").splitlines() if path.exists() else []
            shown.append(f"--- {path.name}\n" + "\n".join(text[-lines:]))
        return "\n".join(shown)
