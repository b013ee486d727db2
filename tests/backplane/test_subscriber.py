"""Subscribing to channels of Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from bookcast.backplane.subscriber import Subscriber
from tests.backplane.links import link
from tests.engine.nodes import kill_subscriptions, tasks_begun
from tests.fakes.redis_server import RedisServer
from tests.support import PATIENCE, eventually


class Listener:
    """A record of the received messages, and of how often all channels were subscribed again."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.connected = 0
        self.subscriber: Subscriber

    def hear(self, channel: str, message: bytes) -> None:
        if message == b"bad":
            raise ValueError("bad")
        self.heard.append((channel, message))

    def note(self) -> None:
        self.connected += 1

    async def well(self, times: int = 1) -> None:
        await eventually(lambda: self.connected >= times, "a subscription")


@asynccontextmanager
async def listener(url: str) -> AsyncIterator[Listener]:
    """Yield a listener on one channel."""
    async with link(url, patience=0.5) as (made, _):
        made_listener = Listener()
        made_listener.subscriber = Subscriber(made, made_listener.note)
        made_listener.subscriber.listen("always", partial(made_listener.hear, "always"))
        made_listener.subscriber.listen_to_others(made_listener.hear)
        made_listener.subscriber.start()
        yield made_listener
        await asyncio.wait_for(made_listener.subscriber.close(), PATIENCE)


async def test_what_is_said_on_its_channels_is_heard(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Messages arrive in order, byte for byte; those of other channels or earlier times don't."""
    async with listener(redis_url) as one:
        await one.well()
        assert one.subscriber.trouble is None
        redis_server.cli("PUBLISH", "more", "early")
        assert await one.subscriber.subscribe(["more", "another"], PATIENCE)
        assert await one.subscriber.subscribe(["more"], PATIENCE)
        for number in range(5):
            redis_server.cli("PUBLISH", "more", f"{number}\n\x00")
        redis_server.cli("PUBLISH", "elsewhere", "no")
        redis_server.cli("PUBLISH", "always", "yes")
        await eventually(lambda: len(one.heard) == 6, "all of it")
        assert one.heard == [
            *(("more", f"{number}\n\x00".encode()) for number in range(5)),
            ("always", b"yes"),
        ]
        await one.subscriber.unsubscribe(["more", "unknown"])
        await eventually(
            lambda: redis_server.cli("PUBSUB", "NUMSUB", "more") == "more\n0", "the end"
        )


async def test_a_lost_connection_is_made_anew_with_all_channels(
    redis_url: str, redis_server: RedisServer
) -> None:
    """The listener is notified, since messages in between are lost."""
    async with listener(redis_url) as one:
        await one.well()
        await one.subscriber.subscribe(["more"], PATIENCE)
        for times in (2, 3):
            kill_subscriptions(redis_server)
            await one.well(times)
            assert (one.subscriber.lost, one.subscriber.trouble) == (times - 1, None)
            redis_server.cli("PUBLISH", "more", str(times))
            await eventually(lambda: len(one.heard) == times - 1, "what is said")  # noqa: B023 - it is awaited in its own round


async def test_a_connection_can_be_given_up(redis_url: str, redis_server: RedisServer) -> None:
    """The caller may know that it is dead, however well it looks."""
    async with listener(redis_url) as one:
        one.subscriber.reconnect("too early")
        await one.well()
        one.subscriber.reconnect("its pulse isn't heard")
        assert one.subscriber.trouble == "its pulse isn't heard"
        await one.well(2)
        assert one.subscriber.trouble is None
        assert redis_server.cli("CLIENT", "LIST", "TYPE", "pubsub").count("name=bookcast") == 1


async def test_a_message_that_cannot_be_read_takes_no_other_with_it(
    redis_url: str, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is logged."""
    async with listener(redis_url) as one:
        await one.well()
        redis_server.cli("PUBLISH", "always", "bad")
        redis_server.cli("PUBLISH", "always", "good")
        await eventually(lambda: one.heard == [("always", b"good")], "the good one")
        assert "what was said on always can't be read" in caplog.text
        assert one.subscriber.lost == 0


async def test_while_redis_is_away_channels_are_kept_for_later(tmp_path: Path) -> None:
    """A caller waits no longer than its timeout."""
    with RedisServer(tmp_path) as server:
        server.kill()
        async with listener(server.url) as one:
            assert not await one.subscriber.subscribe(["more", "gone"], 0.01)
            await one.subscriber.unsubscribe(["gone"])
            await eventually(
                lambda: "not connected" not in (one.subscriber.trouble or ""), "an attempt"
            )
            server.start()
            await one.well()
            assert await one.subscriber.subscribe(["more"], PATIENCE)
            assert server.cli("PUBLISH", "gone", "x") == "0"
            assert server.cli("PUBLISH", "more", "x") == "1"
            await eventually(lambda: one.heard == [("more", b"x")], "what is said")


async def test_who_waits_for_a_confirmation_learns_when_it_was_lost(tmp_path: Path) -> None:
    """It comes with the next connection."""
    with RedisServer(tmp_path) as server:
        async with listener(server.url) as one:
            await one.well()
            server.pause()
            waiting = asyncio.ensure_future(one.subscriber.subscribe(["more"], PATIENCE))
            assert not await one.subscriber.subscribe(["other"], 0.01)
            one.subscriber.reconnect("silent")
            server.resume()
            assert await waiting
            assert server.cli("PUBLISH", "other", "x") == "1"


async def test_more_channels_than_one_command_names(
    redis_url: str, redis_server: RedisServer
) -> None:
    """All of them, at once and after a loss."""
    channels = [f"channel{number}" for number in range(2500)]
    async with listener(redis_url) as one:
        await one.well()
        assert await one.subscriber.subscribe(channels, PATIENCE)
        kill_subscriptions(redis_server)
        await one.well(2)
        found = redis_server.cli("PUBSUB", "NUMSUB", *channels).splitlines()
        assert found[1::2] == ["1"] * len(channels)
        await one.subscriber.unsubscribe(channels)
        await eventually(
            lambda: redis_server.cli("PUBSUB", "CHANNELS", "channel*") == "", "the end of all"
        )


@pytest.mark.parametrize("when", ["at once", "connected", "lost"])
async def test_an_end_leaves_nothing_behind(
    redis_url: str, redis_server: RedisServer, when: str
) -> None:
    """Whenever it comes; who waits, waits no longer."""
    before = set(asyncio.all_tasks())
    async with listener(redis_url) as one:
        if when != "at once":
            await one.well()
        if when == "lost":
            kill_subscriptions(redis_server)
            await eventually(lambda: one.subscriber.lost == 1, "it to be noticed")
        waiting = asyncio.ensure_future(one.subscriber.subscribe(["more"], PATIENCE))
        await asyncio.sleep(0)
    await asyncio.wait_for(waiting, PATIENCE)
    assert tasks_begun(before) == set()
    await eventually(
        lambda: "name=bookcast" not in redis_server.cli("CLIENT", "LIST"), "no connection"
    )
