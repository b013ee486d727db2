"""Sessions at several nodes that share a real Redis."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from bookcast import BookData, Server, TradesData
from bookcast.errors import CloseCode
from bookcast.sessions.store.persister import SessionPersister
from bookcast.sessions.store.redis import RedisSessionStore
from bookcast.sessions.times import SessionTimes
from tests.fakes.faulty_proxy import FaultyProxy
from tests.fakes.redis_server import RedisServer
from tests.support import PATIENCE, Client, connect, eventually, nodes, registry_of

V1: Any = ["bookcast.v1"]


def book(size: int) -> BookData:
    return {"bids": [[100, size]], "asks": [[101, 1]]}


def trade(size: int) -> TradesData:
    return {"trades": [{"price": 100, "size": size, "timestamp": 1_767_225_600_000}]}


async def size_of(client: Client) -> int:
    """Return the best bid's size in the next book."""
    while True:
        message = await client.hear()
        if message["type"] == "orderbook_update":
            return int(message["data"]["bids"][0][1])


async def lose(server: Server, url: str, *sizes: int) -> None:
    """Connect a client, let it hear books of these sizes, and lose it without a goodbye."""
    async with connect(server.ws_url + url) as client:
        await client.hear()
        for size in sizes:
            await server.publish("AAPL", book(size))
            assert await size_of(client) == size
        await saved(server, "me")
        client.connection.transport.abort()
        await until(lambda: registry_of(server).ownership.lost == 1)


async def next_of(client: Client, kind: str) -> Any:
    """Return the next message of a type."""
    while True:
        message = await client.hear()
        if message["type"] == kind:
            return message


async def until(condition: Callable[[], bool]) -> None:
    await eventually(condition, inspect.getsource(condition))


def is_saved(server: Server, client_id: str) -> bool:
    """Return whether a client's session is saved where other nodes find it."""
    return any(
        persister_of(server).is_saved(session)
        for session in registry_of(server).sessions()
        if session.client_id == client_id
    )


def persister_of(server: Server) -> SessionPersister:
    store = registry_of(server).ownership.store
    assert isinstance(store, RedisSessionStore)
    return store.persister


def set_times(server: Server, times: SessionTimes) -> None:
    """Use other intervals from now on."""
    ownership = registry_of(server).ownership
    assert isinstance(ownership.store, RedisSessionStore)
    ownership._times = ownership.store._times = times


def is_away(server: Server) -> bool:
    """Return whether a node considers Redis unreachable."""
    return server.parts.backend.engine.status().state == "away"


async def saved(server: Server, client_id: str) -> None:
    await until(lambda: is_saved(server, client_id))


@asynccontextmanager
async def resumed(
    server: Server, token: str, positions: list[dict[str, Any]]
) -> AsyncIterator[tuple[Client, Any]]:
    """Connect a client that resumes; give it and the answer."""
    async with connect(server.ws_url + "me", subprotocols=V1) as client:
        welcome = await client.hear()
        answer = await client.ask({"action": "resume", "session": token, "positions": positions})
        if answer["type"] == "resumed":
            assert answer["session"] == welcome["session"]
        yield client, answer


async def test_a_base_client_that_was_lost_is_found_by_another_node(redis_url: str) -> None:
    """It gets its books again without asking."""
    async with nodes(redis_url, 2) as (here, there):
        await lose(here, "me?symbols=AAPL,TSLA", 1)
        await here.publish("AAPL", book(2))
        async with connect(there.ws_url + "me") as again:
            assert await size_of(again) == 2
            await there.publish("TSLA", book(3))
            assert await size_of(again) == 3
        await until(lambda: registry_of(here).ownership.lost == 0)
        assert registry_of(there).ownership.resumed == 1


async def test_a_watchdogs_close_leaves_the_session_to_every_node(redis_url: str) -> None:
    """A close frame with a code of the client's own is a loss, wherever it comes back."""
    async with nodes(redis_url, 2) as (here, there):
        async with connect(here.ws_url + "me?symbols=AAPL") as client:
            await client.hear()
            await client.connection.close(4000, "no answer")
        await until(lambda: registry_of(here).ownership.lost == 1)
        await until(lambda: persister_of(here).is_idle)
        async with connect(there.ws_url + "me") as again:
            await until(lambda: registry_of(there).ownership.resumed == 1)
            await here.publish("AAPL", book(2))
            assert await size_of(again) == 2


async def test_a_goodbye_ends_the_session_everywhere(redis_url: str) -> None:
    """The next connection under the id begins with nothing."""
    async with nodes(redis_url, 2) as (here, there):
        async with connect(here.ws_url + "me?symbols=AAPL") as client:
            await client.hear()
            await saved(here, "me")
        await until(lambda: not is_saved(here, "me"))
        await until(lambda: persister_of(here).is_idle)
        async with connect(there.ws_url + "me") as again:
            await there.publish("AAPL", book(1))
            assert await again.silent()


async def test_a_client_that_is_there_keeps_its_session(redis_url: str) -> None:
    """Another one under its id at another node lives beside it, and is counted."""
    async with (
        nodes(redis_url, 2) as (here, there),
        connect(here.ws_url + "me?symbols=AAPL") as first,
    ):
        await first.hear()
        await saved(here, "me")
        async with connect(there.ws_url + "me") as second:
            await until(lambda: registry_of(there).ownership.duplicates == 1)
            await here.publish("AAPL", book(1))
            assert await size_of(first) == 1
            assert await second.silent()
        await here.publish("AAPL", book(2))
        assert await size_of(first) == 2


async def test_a_client_that_does_not_answer_is_replaced(redis_url: str) -> None:
    """Its node is asked, and answers for a client that doesn't: the newcomer goes on instead."""
    async with (
        nodes(redis_url, 2) as (here, there),
        connect(here.ws_url + "me?symbols=AAPL") as first,
    ):
        await first.hear()
        await saved(here, "me")
        set_times(here, SessionTimes(answer=0.2))
        first.connection.transport.pause_reading()  # no ping is answered
        async with connect(there.ws_url + "me") as second:
            await until(lambda: registry_of(there).ownership.resumed == 1)
            await until(lambda: len(registry_of(here)) == 0)
            assert registry_of(here).ownership.lost == 0
            await here.publish("AAPL", book(1))
            assert await size_of(second) == 1
        first.connection.transport.abort()


async def test_what_a_newcomer_declined_meanwhile_is_not_given_to_it(redis_url: str) -> None:
    """It is served while its session is looked for."""
    async with nodes(redis_url, 2) as (here, there):
        await lose(here, "me?symbols=AAPL,TSLA")
        async with connect(there.ws_url + "me") as again:
            await again.say({"action": "unsubscribe", "symbol": "AAPL"})
            await next_of(again, "unsubscription_confirmed")
            await until(lambda: registry_of(there).ownership.resumed == 1)
            await there.publish("TSLA", book(7))
            assert await size_of(again) == 7
            await again.say({"action": "unsubscribe", "symbol": "AAPL"})
            await next_of(again, "unsubscription_confirmed")
            await there.publish("AAPL", book(9))
            assert await again.silent()


async def test_a_token_resumes_at_another_node_and_nothing_is_missed(redis_url: str) -> None:
    """Each trade once, a book by its newest; the old connection, if it is there, is told."""
    async with (
        nodes(redis_url, 2) as (here, there),
        connect(here.ws_url + "me", subprotocols=V1) as first,
    ):
        token = (await first.hear())["session"]
        await first.say({"action": "subscribe", "symbol": "AAPL", "channel": "trades"})
        await next_of(first, "subscription_confirmed")
        await first.say({"action": "subscribe", "symbol": "AAPL", "mode": "delta"})
        await next_of(first, "subscription_confirmed")
        for size in (1, 2):
            await here.publish("AAPL", trade(size), channel="trades")
        await here.publish("AAPL", book(1))
        last = await next_of(first, "trade")
        while last["seq"] < 2:
            last = await next_of(first, "trade")
        await saved(here, "me")
        for size in (3, 4):
            await there.publish("AAPL", trade(size), channel="trades")
        place = {key: last[key] for key in ("channel", "symbol", "epoch", "seq")}
        async with resumed(there, token, [place]) as (second, answer):
            restored = {one["channel"]: one for one in answer["restored"]}
            assert restored["trades"]["recovered"] is True
            assert restored["trades"]["seq"] == 2
            assert restored["orderbook"]["recovered"] is False
            assert answer["refused"] == []
            sizes: list[int] = []
            while len(sizes) < 2:
                message = await next_of(second, "trade")
                sizes += [one["size"] for one in message["data"]["trades"]]
            assert sizes == [3, 4]
            async with asyncio.timeout(PATIENCE):
                await first.connection.wait_closed()
            assert first.connection.close_code == CloseCode.TAKEN_OVER
            await there.publish("AAPL", trade(5), channel="trades")
            message = await next_of(second, "trade")
            assert message["prev_seq"] == 4


async def test_the_token_before_is_good_once_more_at_a_third_node(redis_url: str) -> None:
    """The answer with the new one may have got lost."""
    async with (
        nodes(redis_url, 3) as (one, two, three),
        connect(one.ws_url + "me", subprotocols=V1) as first,
    ):
        token = (await first.hear())["session"]
        await first.say({"action": "subscribe", "symbol": "AAPL"})
        await next_of(first, "subscription_confirmed")
        await saved(one, "me")
        async with resumed(two, token, []) as (second, answer):
            assert len(answer["restored"]) == 1
            await saved(two, "me")
            await until(lambda: persister_of(two).is_idle)
            async with resumed(three, token, []) as (_, last):
                assert [entry["symbol"] for entry in last["restored"]] == ["AAPL"]
                async with asyncio.timeout(PATIENCE):
                    await second.connection.wait_closed()
                assert second.connection.close_code == CloseCode.TAKEN_OVER


async def test_a_token_that_nobody_gave_is_unknown(redis_url: str) -> None:
    """As on one node."""
    async with nodes(redis_url, 2) as (here, _), resumed(here, "made up", []) as (_, answer):
        assert (answer["type"], answer["code"]) == ("error", "unknown_session")


async def test_a_node_that_ends_leaves_its_sessions_to_others(redis_url: str) -> None:
    """Its clients are closed with 1012, and go on elsewhere with what they had."""
    async with nodes(redis_url, 2) as (here, there):
        async with connect(here.ws_url + "me?symbols=AAPL") as client:
            await client.hear()
            await here.publish("AAPL", book(1))
            assert await size_of(client) == 1
            await here.stop()
            await client.connection.wait_closed()
            assert client.connection.close_code == CloseCode.RESTART
        async with connect(there.ws_url + "me") as again:
            await until(lambda: registry_of(there).ownership.resumed == 1)
            await there.publish("AAPL", book(2))
            assert await next_of(again, "orderbook_update")


async def test_the_last_node_that_ends_leaves_its_sessions_in_redis(redis_url: str) -> None:
    """They wait there for whoever is started next, in both protocols."""
    async with (
        nodes(redis_url, 1) as [node],
        connect(node.ws_url + "me?symbols=AAPL") as base,
        connect(node.ws_url + "v1", subprotocols=V1) as v1,
    ):
        token = (await v1.hear())["session"]
        await base.hear()
        await v1.ask({"action": "subscribe", "symbol": "AAPL", "channel": "trades"})
        await node.stop()
        for client in (base, v1):
            await client.connection.wait_closed()
            assert client.connection.close_code == CloseCode.RESTART
    async with nodes(redis_url, 1) as [node]:
        async with resumed(node, token, []) as (_, answer):
            assert [one["channel"] for one in answer["restored"]] == ["trades"]
        async with connect(node.ws_url + "me") as base:
            await until(lambda: registry_of(node).ownership.resumed == 2)
            await node.publish("AAPL", book(2))
            assert await size_of(base) == 2


async def test_with_every_book_what_was_missed_comes_in_order(redis_url: str) -> None:
    """SESSION_QUEUE=all holds across nodes as well."""
    async with nodes(redis_url, 2, session_queue="all", session_queue_size=50) as (here, there):
        await lose(here, "me?symbols=AAPL", 1)
        for size in range(2, 8):
            await here.publish("AAPL", book(size))
        async with connect(there.ws_url + "me?symbols=AAPL") as again:
            sizes = [await size_of(again)]
            while sizes[-1] < 7:
                sizes.append(await size_of(again))
        assert sizes in ([2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6, 7])


async def test_what_its_node_has_not_saved_yet_is_saved_before_another_node_takes_it(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that went on after a pause may lose many clients at once, and saves them in turn."""
    async with nodes(redis_url, 2) as (here, there):
        records, goes_on = persister_of(here)._records, asyncio.Event()
        answered_early: list[object] = []
        handlers = registry_of(here).ownership._members.handlers
        save, challenge = records.save, handlers["challenge"]

        async def save_later(*args: Any, live: bool) -> int:
            await goes_on.wait()
            return await save(*args, live=live)

        async def watch_challenge(key: bytes) -> bytes:
            answer = asyncio.ensure_future(challenge(key))
            done, _ = await asyncio.wait([answer], timeout=0.05)
            answered_early.extend(done)
            goes_on.set()
            return await answer

        async with connect(here.ws_url + "me?symbols=AAPL") as client:
            await client.hear()
            await saved(here, "me")
            monkeypatch.setattr(records, "save", save_later)
            monkeypatch.setitem(handlers, "challenge", watch_challenge)
            await client.say({"action": "subscribe", "symbol": "TSLA"})
            await next_of(client, "subscription_confirmed")
            client.connection.transport.abort()
        await until(lambda: registry_of(here).ownership.lost == 1)
        async with connect(there.ws_url + "me") as again:
            await until(lambda: registry_of(there).ownership.resumed == 1)
            assert not answered_early
            await there.publish("TSLA", book(3))
            assert await size_of(again) == 3


async def test_sessions_are_saved_once_more_when_redis_has_forgotten_them(redis_url: str) -> None:
    """As after it was started anew."""
    async with nodes(redis_url, 2) as (here, there):
        async with connect(here.ws_url + "me?symbols=AAPL") as client:
            await client.hear()
            await saved(here, "me")
            with redis.Redis.from_url(redis_url) as client_of_redis:
                client_of_redis.flushall()
            registry_of(here).ownership.recover()
            await until(lambda: persister_of(here).is_idle)
            client.connection.transport.abort()
            await until(lambda: registry_of(here).ownership.lost == 1)
        async with connect(there.ws_url + "me"):
            await until(lambda: registry_of(there).ownership.resumed == 1)


async def test_who_came_while_redis_was_away_finds_their_session_when_it_is_back(
    tmp_path: Path,
) -> None:
    """It goes on beside what they asked for meanwhile."""
    with RedisServer(tmp_path) as server:
        async with nodes(server.url, 2, engine_down_publish="local") as (here, there):
            await lose(here, "me?symbols=AAPL")
            server.kill()
            for node in (here, there):
                await until(lambda node=node: is_away(node))  # type: ignore[misc] # no type can be inferred for a lambda with a default
            async with connect(there.ws_url + "me?symbols=TSLA") as client:
                assert (await client.hear())["type"] == "subscription_confirmed"
                await there.publish("TSLA", book(1))
                assert await size_of(client) == 1
                server.start()
                await until(lambda: registry_of(there).ownership.resumed == 1)
                await here.publish("AAPL", book(5))
                while await size_of(client) != 5:
                    pass
                await until(lambda: registry_of(here).ownership.lost == 0)


async def test_what_another_node_has_still_to_save_is_found_a_little_later(
    tmp_path: Path,
) -> None:
    """Redis came back empty, and that node was told of it last."""
    with RedisServer(tmp_path) as server:
        async with (
            FaultyProxy(server.port) as way,
            nodes(f"redis://127.0.0.1:{way.port}", 1) as [here],
            nodes(server.url, 1) as [there],
        ):
            set_times(there, SessionTimes(seek=3.0))
            await lose(here, "me?symbols=AAPL")
            async with connect(here.ws_url + "v1", subprotocols=V1) as client:
                token = (await client.hear())["session"]
                await client.say({"action": "subscribe", "symbol": "TSLA"})
                await next_of(client, "subscription_confirmed")
                await saved(here, "v1")
                client.connection.transport.abort()
            await until(lambda: registry_of(here).ownership.lost == 2)
            server.kill()
            way.refuse()
            await until(lambda: is_away(there))
            server.start()
            await until(lambda: not is_away(there))
            async with connect(there.ws_url + "me?symbols=QQQ"):
                async with resumed(there, token, []) as (_, answer):
                    assert answer["code"] == "engine_unavailable"
                    assert answer["retry_after_ms"] > 0
                way.accept()
                await until(lambda: registry_of(there).ownership.resumed == 1)
                async with resumed(there, token, []) as (_, answer):
                    assert [one["symbol"] for one in answer["restored"]] == ["TSLA"]


async def test_a_goodbye_just_before_coming_back_is_believed(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Though Redis, a while away, hasn't heard of it yet."""
    async with FaultyProxy(redis_server.port) as way:
        way.delay(0.02)
        async with nodes(f"redis://127.0.0.1:{way.port}", 1) as [node]:
            for size in range(1, 6):
                async with connect(node.ws_url + "me?symbols=AAPL") as client:
                    await client.hear()
                    await node.publish("AAPL", book(size))
                    while await size_of(client) != size:
                        pass
                async with connect(node.ws_url + "me") as again:
                    await node.publish("AAPL", book(100 + size))
                    assert await again.silent()


async def test_a_page_that_is_reloaded_keeps_its_place(
    redis_url: str, redis_server: RedisServer
) -> None:
    """What ends the old session doesn't end the new one."""
    async with FaultyProxy(redis_server.port) as way:
        way.delay(0.02)
        async with nodes(f"redis://127.0.0.1:{way.port}", 2) as (here, there):
            for _ in range(5):
                async with connect(here.ws_url + "me?symbols=AAPL") as client:
                    await client.hear()
            async with connect(here.ws_url + "me?symbols=AAPL") as client:
                await client.hear()
                await saved(here, "me")
                async with connect(there.ws_url + "me") as other:
                    await until(lambda: registry_of(there).ownership.duplicates == 1)
                    await here.publish("AAPL", book(1))
                    assert await size_of(client) == 1
                    assert await other.silent()


async def test_a_client_whose_node_was_cut_off_keeps_what_it_sees(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Another one under its id took its session; so they are two."""
    async with (
        FaultyProxy(redis_server.port) as way,
        nodes(f"redis://127.0.0.1:{way.port}", 1, redis_timeout=0.3) as [here],
        nodes(redis_url, 1) as [there],
        connect(here.ws_url + "me?symbols=AAPL") as first,
    ):
        await first.hear()
        await saved(here, "me")
        way.stall()
        await until(lambda: here.parts.backend.engine.status().state == "away")
        async with connect(there.ws_url + "me"):
            await until(lambda: registry_of(there).ownership.resumed == 1)
            way.flow()
            await until(lambda: here.parts.backend.engine.status().state == "connected")
            await until(lambda: not is_saved(here, "me"))
            await there.publish("AAPL", book(3))
            while await size_of(first) != 3:
                pass
            assert first.connection.close_code is None


async def test_a_session_that_cant_be_read_is_like_none(
    redis_url: str, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Another release has written it: the client is told, and begins anew; no fault is logged."""
    async with nodes(redis_url, 2) as (here, there):
        async with connect(here.ws_url + "me", subprotocols=V1) as client:
            token = (await client.hear())["session"]
            await client.ask({"action": "subscribe", "symbol": "AAPL"})
            await saved(here, "me")
            client.connection.transport.abort()
            await until(lambda: registry_of(here).ownership.lost == 1)
            await until(lambda: persister_of(here).is_idle)
        for key in redis_server.cli("KEYS", "bookcast:s:*").splitlines():
            redis_server.cli("HSET", key, "d", "of another release")
        async with resumed(there, token, []) as (client, answer):
            assert answer["code"] == "unknown_session"
            confirmed = await client.ask({"action": "subscribe", "symbol": "AAPL"})
            assert confirmed["type"] == "subscription_confirmed"
        assert there.parts.backend.engine.numbers()["unreadable"] == 1
    assert not [one for one in caplog.records if one.exc_info]
