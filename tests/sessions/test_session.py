import json
import logging

import pytest

from bookcast.app import render
from bookcast.engine.memory import MemoryEngine
from bookcast.hub.hub import Hub
from bookcast.hub.view import ViewSpec
from bookcast.model import Book, Level, Position, Publication, Update
from bookcast.protocol import codec
from bookcast.sessions.session import Session, SessionLimits
from tests.support import AAPL, ManualTimer


class World:
    """An engine, a hub and one session that writes plain texts to a list."""

    def __init__(self, max_subscriptions: int = 256) -> None:
        self.timer = ManualTimer()
        self.engine = MemoryEngine()
        self.hub = Hub(
            render=lambda spec, update: codec.encode_update(spec, update) + b"\n",
            clock=self.timer.clock,
            call_later=self.timer.call_later,
            want=self.engine.want,
            release=self.engine.release,
        )
        self.engine.attach(
            deliver=self.hub.deliver, wanted=lambda _topic: None, unwanted=lambda _topic: None
        )
        self.written: list[bytes] = []
        self.session = Session(
            "me",
            hub=self.hub,
            frame=lambda text: text + b"\n",
            write=self.written.append,
            limits=SessionLimits("US", max_subscriptions),
        )

    async def publish(self, size: int) -> None:
        await self.engine.publish([Publication(AAPL, Book((Level(1, size),), ()))])
        self.timer.run()

    def heard(self) -> list[str]:
        """Give the types of the messages written so far, and forget them."""
        lines = b"".join(self.written).splitlines()
        self.written.clear()
        return [json.loads(line)["type"] for line in lines]

    def say(self, text: str) -> None:
        self.session.receive(text.encode())
        self.session.outbox.flush()
        self.timer.run()


async def test_a_subscriber_hears_the_confirmation_then_the_known_book_then_each_new_one() -> None:
    """In this order, and nothing else."""
    world = World()
    await world.publish(1)
    world.say('{"action":"subscribe","symbol":"AAPL"}')
    await world.publish(2)
    assert world.heard() == ["subscription_confirmed", "orderbook_update", "orderbook_update"]
    world.say('{"action":"subscribe","symbol":"AAPL"}')
    assert world.heard() == ["subscription_confirmed", "orderbook_update"]
    world.say('{"action":"unsubscribe","symbol":"AAPL"}')
    await world.publish(3)
    assert world.heard() == ["unsubscription_confirmed"]


async def test_a_session_can_begin_with_subscriptions() -> None:
    """As if the client had asked for each; a bad one is an error among them."""
    world = World()
    world.session.open(["AAPL", "x" * 65, "TSLA"])
    assert world.heard() == ["subscription_confirmed", "error", "subscription_confirmed"]
    assert world.session.subscription_count == 2


async def test_a_closed_session_leaves_nothing_in_the_hub() -> None:
    """The topic ceases to be wanted."""
    world = World()
    world.say('{"action":"subscribe","symbol":"AAPL"}')
    assert world.hub.subscriber_count(AAPL) == 1
    world.session.close()
    assert world.hub.topics() == {}


async def test_a_slow_client_catches_up_with_the_newest_book() -> None:
    """One book instead of all that it missed."""
    world = World()
    world.say('{"action":"subscribe","symbol":"AAPL"}')
    world.heard()
    world.session.hold()
    for size in (1, 2, 3):
        await world.publish(size)
    assert world.heard() == []
    world.session.catch_up()
    assert b'"volume":3' in b"".join(world.written)
    assert world.heard() == ["orderbook_update"]
    assert world.session.outbox.conflated == 2


async def test_a_refusal_is_told_to_the_client_and_to_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Both learn why."""
    world = World()
    with caplog.at_level(logging.DEBUG, "bookcast.sessions"):
        world.say("nonsense")
    assert world.heard() == ["error"]
    assert "client 'me' says b'nonsense'" in caplog.text
    assert "client 'me' refused: Not valid JSON" in caplog.text


def test_a_rendered_update_is_a_finished_frame() -> None:
    """It can be written to any number of sockets."""
    shown = Update(AAPL, Position("e", 1), Book((), ()), server_ms=0)
    frame = render(ViewSpec("base", "AAPL"), shown)
    assert frame[0] == 0x81
    assert frame[1] == 126  # the length follows in two bytes
    assert int.from_bytes(frame[2:4], "big") == len(frame) - 4
