from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from bookcast.feeds.futu.endpoints import Endpoint, resolve
from tests.support import PATIENCE, eventually


def entry(address: str) -> Any:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.SOCK_STREAM, 6, "", (address, 0)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the host table that name resolution uses; an error in it is raised."""
    table: dict[str, Any] = {}

    def getaddrinfo(host: str, *_: object, **__: object) -> Any:
        found = table[host]
        if isinstance(found, Exception):
            raise found
        return [entry(address) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return table


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        (Endpoint("127.0.0.1", 11111), "127.0.0.1:11111"),
        (Endpoint("opend.local", 1), "opend.local:1"),
        (Endpoint("::1", 11111), "[::1]:11111"),
    ],
)
def test_an_endpoint_reads_as_it_is_written(endpoint: Endpoint, text: str) -> None:
    """With brackets where colons would confuse."""
    assert str(endpoint) == text


def test_an_endpoint_knows_the_setting_it_came_from() -> None:
    """For sentences about it."""
    assert Endpoint("a", 1).setting == "FUTU_HOST"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_an_address_needs_no_name_server(names: dict[str, Any], address: str) -> None:
    """Nor a thread."""
    before = threading.active_count()
    assert await resolve(address) == [address]
    assert threading.active_count() == before


async def test_addresses_come_ipv4_first_and_once(names: dict[str, Any]) -> None:
    """Else in the order of the name server."""
    names["opend"] = ["::2", "10.0.0.2", "::1", "10.0.0.1", "10.0.0.2"]
    assert await resolve("opend") == ["10.0.0.2", "10.0.0.1", "::2", "::1"]


async def test_a_name_that_cannot_be_resolved_is_an_error(names: dict[str, Any]) -> None:
    """That of the name server."""
    names["nowhere"] = socket.gaierror(-2, "Name or service not known")
    with pytest.raises(OSError, match="Name or service not known"):
        await resolve("nowhere")


async def test_a_name_that_is_none_is_an_error_of_the_same_kind(names: dict[str, Any]) -> None:
    """A caller that catches one error catches the other."""
    names["x" * 70] = UnicodeError("label too long")
    with pytest.raises(OSError, match="label too long"):
        await resolve("x" * 70)


@pytest.mark.parametrize("host", ["", "a" * 70 + ".example", "a..b", "\0", "with space"])
async def test_nonsense_is_an_error_of_the_same_kind(host: str) -> None:
    """No name server is asked for it, and the caller doesn't wait for ever."""
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(OSError):
            await resolve(host)


async def test_nobody_waits_for_a_slow_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop goes on, a cancelled lookup ends, and its late answer does no harm."""
    asked, answer = threading.Event(), threading.Event()

    def getaddrinfo(*_: object, **__: object) -> Any:
        asked.set()
        answer.wait(PATIENCE)
        return [entry("10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    waiting = [asyncio.ensure_future(resolve("slow")) for _ in range(2)]
    await eventually(asked.is_set, "the question")
    workers = [t for t in threading.enumerate() if t.name == "bookcast-resolve"]
    assert all(worker.daemon for worker in workers)
    waiting[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    answer.set()
    assert await waiting[1] == ["10.0.0.1"]


def test_a_loop_that_has_ended_meanwhile_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name server's answer comes too late for anybody."""
    answer = threading.Event()
    failures: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)

    def getaddrinfo(*_: object, **__: object) -> Any:
        answer.wait(PATIENCE)
        return [entry("10.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    async def begin() -> None:
        task = asyncio.ensure_future(resolve("slow"))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(begin())
    workers = [t for t in threading.enumerate() if t.name == "bookcast-resolve"]
    answer.set()
    for worker in workers:
        worker.join(PATIENCE)
    assert failures == []
