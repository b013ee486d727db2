"""Real Redis servers in processes of their own, which tests look into and break."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

PATIENCE = 30.0
HOST = "127.0.0.1"
ATTEMPTS = 10

PORTS = range(12_000, 22_000)
"""Below those that systems give to outgoing connections, which could otherwise take a port while
its server is down; so is the port of a cluster's bus, which is 10000 higher."""


def free_port() -> int:
    """Return a port that nothing listens on at the moment."""
    for port in random.sample(PORTS, 100):
        try:
            socket.create_server((HOST, port)).close()
        except OSError:
            continue
        return port
    raise AssertionError("no free port")


class RedisServer:
    """A redis-server with its files in a folder. It keeps its port when it is started again."""

    def __init__(
        self,
        folder: Path,
        *,
        password: str = "",
        tls: bool = False,
        maxmemory: str = "",
        persist: bool = False,
        config: Sequence[str] = (),
    ) -> None:
        self.port = 0
        self._folder = folder
        self._password = password
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        self._config = [
            f"bind {HOST}",
            f'dir "{folder}"',
            'save ""',
            f"appendonly {'yes' if persist else 'no'}",
            "enable-debug-command local",
            # Replicas begin, and a server ends, without waiting for more.
            "repl-diskless-sync-delay 0",
            "shutdown-timeout 0",
            *([f'requirepass "{password}"'] if password else []),
            *([f"maxmemory {maxmemory}"] if maxmemory else []),
            *config,
        ]
        if tls:
            self._config += [
                f'tls-cert-file "{self.ca_file}"',
                f'tls-key-file "{folder / "key.pem"}"',
                "tls-auth-clients no",
            ]

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it is, with the password."""
        who = f":{quote(self._password, safe='')}@" if self._password else ""
        return f"redis{'s' if self._tls else ''}://{who}{HOST}:{self.port}/0"

    @property
    def ca_file(self) -> Path:
        """The certificate, which has signed itself; there with TLS only."""
        return self._folder / "certificate.pem"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """Its process; it must have been started."""
        assert self._process is not None
        return self._process

    def start(self) -> None:
        """Start it, and return once it answers."""
        assert self._process is None or self._process.poll() is not None, "it runs"
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._tls and not self.ca_file.exists():
            make_certificate(self.ca_file, self._folder / "key.pem")
        port, attempts = self.port, 1 if self.port else ATTEMPTS
        for _ in range(attempts):
            self.port = port or free_port()
            if self._started():
                return
        self.port = port
        raise AssertionError(f"Redis doesn't start:\n{self._log()}")

    def _started(self) -> bool:
        """Start it on its port; return False if another process has the port."""
        ports = f"port 0\ntls-port {self.port}" if self._tls else f"port {self.port}"
        file = self._folder / "redis.conf"
        file.write_text("\n".join([ports, *self._config, ""]))
        with (self._folder / "redis.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["redis-server", str(file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + PATIENCE
        while self._process.poll() is None:
            if self._answers():
                return True
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"Redis doesn't answer:\n{self._log()}")
            time.sleep(0.01)
        self._process = None
        assert "in use" in self._log(), self._log()
        return False

    def _answers(self) -> bool:
        """Return whether this Redis answers, not another process that had the port before it."""
        try:
            with self.client(timeout=1.0) as client:
                ready = client.execute_command("PING")
                there = client.execute_command("INFO", "server")["process_id"]
        except redis.RedisError:
            return False
        return bool(ready) and there == self.process.pid

    def _log(self) -> str:
        return (self._folder / "redis.log").read_text()

    def stop(self) -> None:
        """End it in good order, also while it is paused; nothing where it doesn't run."""
        if self._process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        self.resume()
        try:
            self.process.wait(PATIENCE / 2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(PATIENCE)
        self._process = None

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self._process = None

    def restart(self) -> None:
        """End it in good order and start it again on the same port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Stop the process: the kernel still accepts connections, but nothing answers."""
        assert self.process.poll() is None
        self.process.send_signal(signal.SIGSTOP)
        # The signal is only on its way; what was asked before it arrives would be answered.
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        """Continue the stopped process."""
        self.process.send_signal(signal.SIGCONT)

    def client(self, timeout: float = PATIENCE) -> redis.Redis:
        """Return a client that doesn't retry; the caller must close it."""
        options: dict[str, Any] = {"ssl_ca_certs": str(self.ca_file)} if self._tls else {}
        return redis.Redis.from_url(
            self.url,
            decode_responses=True,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            **options,
        )

    def cli(self, *arguments: str | bytes | float) -> str:
        """Run a command on its own connection; return the reply as redis-cli prints it."""
        with self.client() as client:
            # As it comes, not as the client's makers think is nicer.
            client.response_callbacks.clear()
            return _printed(client.execute_command(*arguments))


def _printed(reply: Any) -> str:
    if isinstance(reply, dict):
        return "\n".join(_printed(part) for pair in reply.items() for part in pair)
    if isinstance(reply, list | set):
        return "\n".join(map(_printed, reply))
    return "" if reply is None else str(reply)


def make_certificate(certificate: Path, key: Path) -> None:
    """Make a certificate for the loopback address that is an authority for itself."""
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=redis", "-addext", f"subjectAltName=IP:{HOST}"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=PATIENCE,
    )


class RedisCluster:
    """Three masters without replicas; starting takes two seconds, which is Redis's own patience."""

    def __init__(self, folder: Path, *, config: Sequence[str] = ()) -> None:
        lines = ["cluster-enabled yes", "cluster-node-timeout 1000", *config]
        self.nodes = [RedisServer(folder / f"node{number}", config=lines) for number in range(3)]
        self._created = False

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address of the first node, which names the others."""
        return self.nodes[0].url

    def start(self) -> None:
        """Start the nodes, and return once each of them takes part."""
        for node in self.nodes:
            node.start()
        if not self._created:
            addresses = [f"{HOST}:{node.port}" for node in self.nodes]
            subprocess.run(
                ["redis-cli", "--cluster", "create", *addresses, "--cluster-yes"],
                check=True,
                capture_output=True,
                timeout=PATIENCE * 2,
            )
            self._created = True
        deadline = time.monotonic() + PATIENCE
        while not all("cluster_state:ok" in node.cli("CLUSTER", "INFO") for node in self.nodes):
            assert time.monotonic() < deadline, "the cluster doesn't come up"
            time.sleep(0.01)

    def stop(self) -> None:
        """End the nodes."""
        for node in self.nodes:
            node.stop()
