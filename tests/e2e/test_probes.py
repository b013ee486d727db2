"""The samples of deploy/ consider a node healthy that has its maximum of connections."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e import test_proxies
from tests.e2e.test_proxies import (
    Certificate,
    Substitutions,
    address_of,
    before,
    free_port,
    own_address,
    serving,
    substitute,
)
from tests.support import PATIENCE, ROOT, Client, connect

certificate_files = test_proxies.certificate

CLIENTS = 130
"""More than the 100 that production lets one address have."""

PRODUCTION: Any = {"MAX_CONNECTIONS_PER_ADDRESS": "100", "LOG_LEVEL": "info"}

UNTRUSTED: Any = {**PRODUCTION, "TRUSTED_PROXIES": ""}
"""What somebody has who forgot to name the proxy: all clients look like one address."""

CHECKS_SECONDS = 2.0
"""Time for several checks."""

BUSY: Substitutions = [("timeout connect 2s", "timeout connect 2s\n    timeout check 5s")]
"""A check that is answered late on a busy machine has not failed."""


async def hold_many(
    open_one: Callable[[], contextlib.AbstractAsyncContextManager[Client]], count: int = CLIENTS
) -> None:
    """Open many connections at once, accepted or not, and keep them for a while."""

    async def one() -> None:
        with contextlib.suppress(Exception):
            async with open_one():
                await held.wait()

    held = asyncio.Event()
    tasks = [asyncio.create_task(one()) for _ in range(count)]
    await asyncio.sleep(CHECKS_SECONDS)
    held.set()
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("nginx", UNTRUSTED),  # which has no checks of its own, but sends /readyz on
        ("HAProxy", PRODUCTION),
        ("HAProxy", UNTRUSTED),
        # An untrusted proxy's PROXY header is no HTTP: all checks fail, and the log says so.
        ("HAProxy with PROXY v2", PRODUCTION),
    ],
)
def test_a_node_stays_in_service_with_130_clients_of_one_address(
    kind: str, settings: Any, certificate_files: Certificate, tmp_path: Path
) -> None:
    """Also when the proxy isn't trusted, so that the checks come from that address as well."""
    more = [("check inter 100ms", "check inter 700ms"), *BUSY] if kind != "nginx" else []
    with serving(**settings) as (served, _):
        upstream = address_of(served)
        with before(upstream, kind, tmp_path, certificate_files, more=more) as proxy:

            async def scenario() -> int:
                crowd = asyncio.create_task(hold_many(lambda: proxy.connect(source="127.9.9.9")))
                await asyncio.sleep(CHECKS_SECONDS * 0.9)
                answer = await asyncio.to_thread(proxy.request, "GET", "/readyz")
                await crowd
                return answer.status_code

            assert asyncio.run(scenario()) == 200
            assert "is DOWN" not in proxy.log()


@contextlib.contextmanager
def composed(upstream: str, folder: Path) -> Iterator[tuple[int, Path]]:
    """Run the balancer of compose.yaml in front of a node."""
    port = free_port()
    text = substitute(
        (ROOT / "deploy" / "haproxy-compose.cfg").read_text(),
        ("bind :8002", f"bind {own_address()}:{port}"),
        (
            "server-template node 10 node:8002 resolvers docker init-addr none",
            f"server node1 {upstream}",
        ),
        ("check inter 1s", "check inter 700ms"),
        *BUSY,
    )
    path, log = folder / "haproxy.cfg", folder / "output"
    path.write_text(text)
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["haproxy", "-db", "-f", str(path)], stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"http://{own_address()}:{port}/readyz").status_code == 200:
                    break
            time.sleep(0.05)
        yield port, log
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.mark.parametrize("settings", [PRODUCTION, UNTRUSTED], ids=["trusted", "untrusted"])
def test_the_balancer_of_compose_keeps_its_node_too(settings: Any, tmp_path: Path) -> None:
    """With the limit of production."""
    given: Any = {**settings, "AUTH_MODE": "none", "ALLOWED_HOSTS": ""}
    with serving(**given) as (served, _), composed(address_of(served), tmp_path) as (port, log):

        async def scenario() -> int:
            url = f"ws://{own_address()}:{port}/ws/me"
            crowd = asyncio.create_task(
                hold_many(lambda: connect(url, local_addr=("127.9.9.8", 0)))
            )
            await asyncio.sleep(CHECKS_SECONDS * 0.9)
            answer = await asyncio.to_thread(httpx.get, f"http://{own_address()}:{port}/readyz")
            await crowd
            return answer.status_code

        assert asyncio.run(scenario()) == 200
        assert b"is DOWN" not in log.read_bytes()


def test_the_images_own_check_passes_with_130_clients_beside_it() -> None:
    """From the loopback address, as the container asks itself, and kubelet its pod."""
    [line] = [
        one
        for one in (ROOT / "Dockerfile").read_text().splitlines()
        if "http.client" in one and "CMD" in one
    ]
    program = line.split('"-c", "')[1].rsplit('"]', 1)[0].replace('\\"', '"')
    with serving(**PRODUCTION, HOST="127.0.0.1", AUTH_MODE="none", ALLOWED_HOSTS="") as (served, _):
        port = served.http_url.rpartition(":")[2]

        async def scenario() -> int:
            url = f"ws://127.0.0.1:{port}/ws/me"
            crowd = asyncio.create_task(hold_many(lambda: connect(url)))
            await asyncio.sleep(CHECKS_SECONDS * 0.8)
            check = await asyncio.create_subprocess_exec(
                "python", "-c", program, env={"WEBSOCKET_PORT": port, "PATH": os.environ["PATH"]}
            )
            code = await check.wait()
            await crowd
            return code

        assert asyncio.run(scenario()) == 0
