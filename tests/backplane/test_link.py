"""The link to Redis: pipelined calls, retries, and errors in plain words."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from pathlib import Path
from typing import Any

import pytest

from bookcast.backplane import link as link_module
from bookcast.backplane.breaker import Breaker
from bookcast.backplane.link import SCRIPTS, Link, LinkSettings
from bookcast.errors import EngineAwayError, FencedError, SettingError, StartupError
from tests.backplane.links import KEYS, link
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.redis_server import HOST, RedisServer, free_port
from tests.support import PATIENCE

FENCE = KEYS.fence(0)


async def fence(made: Link, number: int, *, vital: bool = False) -> int:
    return int(await made.call("fence", [FENCE], [number], vital=vital))


async def test_scripts_are_called_by_name(redis_url: str, redis_server: RedisServer) -> None:
    """Also after Redis has forgotten them."""
    async with link(redis_url) as (made, breaker):
        assert await fence(made, 3) == 0
        redis_server.cli("SCRIPT", "FLUSH")
        assert await fence(made, 4) == 0
        assert redis_server.cli("GET", FENCE) == "4"
        assert (made.calls, made.failures, breaker.is_open) == (2, 0, False)
        assert made.is_cluster is False


async def test_calls_of_one_turn_go_together(redis_url: str) -> None:
    """On one connection, in order."""
    async with link(redis_url) as (made, _):
        await asyncio.gather(*(fence(made, number) for number in range(200)))
        assert made.connections == 1
        answers = await asyncio.gather(
            *(made.call("heads", [f"bc:{{0}}:t:{number}"]) for number in range(100))
        )
        assert answers == [[b"", b"", b""]] * 100


async def test_every_script_compiles(redis_url: str, redis_server: RedisServer) -> None:
    """All of them are known by their names."""
    async with link(redis_url) as (made, _):
        await fence(made, 1)
        assert set(made._shas) == set(SCRIPTS)
        found = redis_server.cli("SCRIPT", "EXISTS", *made._shas.values()).split()
        assert found == ["1"] * len(SCRIPTS)


async def test_a_connection_that_is_lost_at_the_start_does_no_harm(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Not even between the first question and the last script."""
    for what in (b"INFO", b"SCRIPT"):
        async with (
            FaultyProxy(redis_server.port) as proxy,
            link(f"redis://{HOST}:{proxy.port}/0") as (made, breaker),
        ):
            proxy.drop_reply_after(lambda asked, what=what: what in asked)  # type: ignore[misc] # no type can be inferred for a lambda with a default
            with pytest.raises(EngineAwayError):
                await fence(made, 1)
            assert proxy.lost_replies == 1
            assert await fence(made, 2) == 0
            assert not breaker.is_open


async def test_what_is_vital_is_asked_once_more(redis_url: str, redis_server: RedisServer) -> None:
    """When the connection is lost; anything else isn't."""
    async with (
        FaultyProxy(redis_server.port) as proxy,
        link(f"redis://{HOST}:{proxy.port}/0") as (made, breaker),
    ):
        await fence(made, 1)
        proxy.drop_reply_after(lambda asked: b"EVALSHA" in asked)
        vital, other = await asyncio.gather(
            fence(made, 2, vital=True), fence(made, 3), return_exceptions=True
        )
        assert vital == 0
        assert isinstance(other, EngineAwayError)
        assert (proxy.lost_replies, made.failures, breaker.is_open) == (1, 1, False)


async def test_when_something_vital_fails_redis_is_away(tmp_path: Path) -> None:
    """From then on only who looks whether it is back gets through."""
    with RedisServer(tmp_path) as server:
        async with link(server.url) as (made, breaker):
            await fence(made, 1)
            server.kill()
            with pytest.raises(EngineAwayError, match="can't be reached"):
                await fence(made, 2)
            assert not breaker.is_open
            with pytest.raises(EngineAwayError, match=f"Redis at {HOST}:{server.port}"):
                await fence(made, 3, vital=True)
            assert breaker.is_open
            server.start()
            with pytest.raises(EngineAwayError):
                await fence(made, 4)
            assert await made.call("fence", [FENCE], [5], looks=True) == 0
            assert server.cli("GET", FENCE) == "5"


async def test_silence_lasts_no_longer_than_the_timeout(tmp_path: Path) -> None:
    """And isn't asked once more, since it may have been done."""
    with RedisServer(tmp_path) as server:
        async with link(server.url, patience=0.1) as (made, breaker):
            await fence(made, 1)
            server.pause()
            loop = asyncio.get_running_loop()
            began = loop.time()
            with pytest.raises(EngineAwayError, match=r"within REDIS_TIMEOUT, 0\.1 s"):
                await fence(made, 2, vital=True)
            assert loop.time() - began < PATIENCE / 3
            assert breaker.is_open


@pytest.mark.soak
async def test_nobody_misses_the_answer_of_a_name_server_that_came_too_late() -> None:
    """Its failure is no fault of ours, whenever the connection was given up."""
    loop = asyncio.get_running_loop()
    faults: list[Any] = []
    handler = loop.get_exception_handler()
    loop.set_exception_handler(lambda _loop, context: faults.append(context))
    try:
        async with link("redis://nowhere.invalid:1") as (made, _):
            for turns in range(20):
                connecting = asyncio.create_task(made.pubsub().subscribe("channel"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                connecting.cancel()
                await asyncio.wait([connecting])
                with contextlib.suppress(OSError):
                    await loop.getaddrinfo("nowhere.invalid", 1)
                connecting = None  # type: ignore[assignment] # nothing holds it now
                gc.collect()
    finally:
        loop.set_exception_handler(handler)
    assert faults == []


async def test_each_address_of_a_name_is_tried(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until one answers."""

    async def resolve(host: str, port: int) -> list[Any]:
        assert host == "many.invalid"
        family = socket.AF_INET, socket.SOCK_STREAM, 6, ""
        return [(*family, (address, port)) for address in ("127.0.0.9", HOST)]

    monkeypatch.setattr(link_module, "_resolve", resolve)
    async with link(redis_url.replace(HOST, "many.invalid")) as (made, _):
        assert await fence(made, 1) == 0


async def test_nobody_there_is_told_at_once() -> None:
    """Without a second attempt."""
    port = free_port()
    async with link(f"redis://:secret@{HOST}:{port}/0") as (made, breaker):
        with pytest.raises(EngineAwayError, match="can't be reached") as caught:
            await fence(made, 1, vital=True)
        assert "secret" not in str(caught.value)
        assert breaker.is_open
        assert made.place == f"{HOST}:{port}"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://host", "host:6379"),
        ("redis://:p@host:1/0", "host:1"),
        ("rediss://u:p@[::1]:2", "[::1]:2"),
    ],
)
def test_the_place_has_no_password(url: str, place: str) -> None:
    """It stands in logs."""
    breaker = Breaker(lambda: 0.0, lambda: 0.0)
    assert Link(LinkSettings(url), breaker).place == place


async def test_a_password_is_used(tmp_path: Path) -> None:
    """A wrong or missing one is reported in words."""
    with RedisServer(tmp_path, password="p@ss w/rd") as server:
        async with link(server.url) as (made, _):
            assert await fence(made, 1) == 0
        for wrong in (f"redis://{HOST}:{server.port}", f"redis://:no@{HOST}:{server.port}"):
            async with link(wrong) as (made, breaker):
                with pytest.raises(EngineAwayError, match="refuses the password in REDIS_URL"):
                    await fence(made, 1, vital=True)
                assert breaker.is_open


async def test_tls_is_trusted_by_its_certificate(tmp_path: Path) -> None:
    """Calls and subscriptions; without the file they don't trust it."""
    with RedisServer(tmp_path, tls=True, password="secret") as server:
        async with link(server.url, ca_file=str(server.ca_file)) as (made, _):
            assert await fence(made, 1) == 0
            pubsub = made.pubsub()
            await pubsub.subscribe("channel")
            await asyncio.wait_for(pubsub.parse_response(), 5)
            await pubsub.aclose()  # type: ignore[no-untyped-call] # redis-py has no type for it
        async with link(server.url) as (made, breaker):
            with pytest.raises(EngineAwayError, match="can't be reached"):
                await fence(made, 1, vital=True)
            assert breaker.is_open


async def test_a_full_redis_is_told_in_words(tmp_path: Path) -> None:
    """The message is complete, although the library drops its first word."""
    with RedisServer(tmp_path) as server:
        async with link(server.url) as (made, _):
            await fence(made, 1)
            server.cli("CONFIG", "SET", "maxmemory", "1")
            with pytest.raises(EngineAwayError, match=r"is full \(maxmemory\)"):
                await fence(made, 2)
            server.cli("CONFIG", "SET", "maxmemory", "0")
            assert await fence(made, 3) == 0


async def test_what_a_script_refuses_is_told(redis_url: str, redis_server: RedisServer) -> None:
    """A fence is something else than a fault; neither takes other calls with it."""
    redis_server.cli("SET", KEYS.lock_number, 10)
    redis_server.cli("SET", "bc:{0}:t:wrong", "text")
    async with link(redis_url) as (made, breaker):
        outcomes = await asyncio.gather(
            made.call(
                "feed_status_post", [KEYS.board, KEYS.lock_number], ["c", 9, "=", b""], vital=True
            ),
            made.call("heads", ["bc:{0}:t:wrong"]),
            fence(made, 1),
            return_exceptions=True,
        )
        assert isinstance(outcomes[0], FencedError)
        assert isinstance(outcomes[1], EngineAwayError)
        assert "refuses: WRONGTYPE" in str(outcomes[1])
        assert outcomes[2] == 0
        assert not breaker.is_open


async def test_a_fault_of_ours_is_told_to_whoever_asked(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And written into the log."""
    async with link(redis_url) as (made, _):
        with pytest.raises(EngineAwayError, match="a fault of ours: KeyError"):
            await made.call("nothing", [])
        assert "a fault of ours" in caplog.text


async def test_many_who_call_share_few_connections(redis_url: str) -> None:
    """They wait for one that is free."""
    async with link(redis_url, max_connections=2) as (made, _):

        async def call(number: int) -> None:
            for _ in range(number % 5):
                await asyncio.sleep(0)
            await fence(made, number)

        await asyncio.gather(*(call(number) for number in range(500)))
        assert made.connections <= 2
        assert made.failures == 0


async def test_who_waits_when_it_is_closed_waits_no_longer(tmp_path: Path) -> None:
    """Nothing is left behind."""
    with RedisServer(tmp_path) as server:
        async with link(server.url, patience=5) as (made, _):
            await fence(made, 1)
            server.pause()
            waiting = asyncio.ensure_future(fence(made, 2))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.wait([waiting], timeout=5)
        assert waiting.cancelled()


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:1?foo=bar", "redis://127.0.0.1:1?socket_timeout=abc"]
)
def test_an_address_that_can_not_be_meant_is_one_sentence(url: str) -> None:
    """Before anything is connected."""
    with pytest.raises(StartupError, match="REDIS_URL can't be used"):
        Link(LinkSettings(url), Breaker(lambda: 0.0, lambda: 0.0))


@pytest.mark.parametrize(
    ("url", "start"),
    [
        ("redis://host", "mine:{nodes}"),
        ("redis://host/0", "mine:{nodes}"),
        ("rediss://host/3", "mine@3:{nodes}"),
        ("redis://host?db=4", "mine@4:{nodes}"),
        ("unix:///run/redis.sock?db=5", "mine@5:{nodes}"),
    ],
)
def test_names_tell_the_deployment_and_the_database(url: str, start: str) -> None:
    """However the address names it: channels know no databases."""
    made = Link(LinkSettings(url, prefix="mine"), Breaker(lambda: 0.0, lambda: 0.0))
    assert made.keys.nodes.startswith(start)


async def test_a_socket_file_will_do(tmp_path: Path) -> None:
    """As on a machine of its own."""
    path = tmp_path / "socket"
    with RedisServer(tmp_path, config=[f"unixsocket {path}"]):
        async with link(f"unix://{path}") as (made, _):
            assert made.place == str(path)
            assert await made.call("heads", ["bc:{1}:t:x"]) == [b"", b"", b""]


async def test_what_is_wrong_with_an_address_or_a_certificate_is_named(tmp_path: Path) -> None:
    """With the setting to look at."""
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    with RedisServer(folders[0], tls=True) as server, RedisServer(folders[1], tls=True) as other:
        ours, theirs = str(server.ca_file), str(other.ca_file)
        for url, ca_file, words in (
            (server.url, theirs, "not signed by REDIS_CA_FILE"),
            (server.url, None, "not signed by REDIS_CA_FILE"),
            (server.url, str(nonsense), "REDIS_CA_FILE holds no certificate"),
            (server.url.replace(HOST, "localhost"), ours, "another name than the one in REDIS_URL"),
            ("redis://nowhere.invalid:6379", None, "the host in REDIS_URL is not known"),
        ):
            async with link(url, ca_file=ca_file) as (made, _):
                with pytest.raises(EngineAwayError, match=words):
                    await fence(made, 1, vital=True)


async def test_another_password_is_taken_over_in_flight(tmp_path: Path) -> None:
    """Calls under way end as they began; the next connection logs in with the new one."""
    with RedisServer(tmp_path, password="old") as server:
        async with link(server.url) as (made, breaker):
            assert await fence(made, 1, vital=True) == 0
            pubsub = made.pubsub()
            await pubsub.subscribe("channel")
            server.cli("CONFIG", "SET", "requirepass", "new")
            renewed = server.url.replace(":old@", ":new@")
            calls = [asyncio.create_task(fence(made, number)) for number in range(20)]
            await made.renew(renewed)
            await asyncio.gather(*calls)
            await made.renew(renewed)
            assert await fence(made, 30, vital=True) is not None
            assert not breaker.is_open
            with pytest.raises(SettingError, match="refuses the password"):
                await made.renew(server.url.replace(":old@", ":wrong@"))
            assert await fence(made, 31, vital=True) is not None
            with pytest.raises(SettingError, match="takes a restart"):
                await made.renew("redis://:new@elsewhere:6379/0")
            await pubsub.aclose()  # type: ignore[no-untyped-call] # redis-py has no type for it
