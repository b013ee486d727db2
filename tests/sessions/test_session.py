import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from bookcast.auth.principal import EVERYTHING, Principal, Rights
from bookcast.engine.interests import Interest
from bookcast.errors import CloseCode, InvalidInput
from bookcast.ingest.publication import Rules
from bookcast.ingest.publisher import Publisher
from bookcast.ingest.schemas import PublishedUpdate
from bookcast.model.updates import Position
from bookcast.protocol.subscriptions import ConnectionRules
from tests.sessions.world import ClientTransport, SessionWorld
from tests.support import AAPL


class World(SessionWorld):
    """One session."""

    def __init__(self, max_subscriptions: int = 256, *, v1: bool = False) -> None:
        super().__init__(ConnectionRules(max_subscriptions=max_subscriptions))
        self.publisher = Publisher(engine=self.engine, hub=self.hub, rules=Rules("US"))
        self.peer = self.join("me", v1=v1)
        self.session = self.peer.session
        self.written = self.peer.written

    @property
    def ended(self) -> list[CloseCode | None]:
        return self.peer.ended

    def heard(self) -> list[str]:
        """Give the types of the messages written so far, and forget them."""
        return self.peer.heard()

    def messages(self) -> list[Any]:
        """Give the messages written so far, and forget them."""
        return self.peer.messages()

    def say(self, text: str) -> None:
        self.session.receive(text.encode())
        self.session.outbox.flush()
        self.flush()


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
    world.session.hold(1000.0)
    for size in (1, 2, 3):
        await world.publish(size)
    assert world.heard() == []
    world.session.catch_up()
    assert b'"volume":3' in b"".join(world.written)
    assert world.heard() == ["orderbook_update"]
    assert world.hub.conflated == 2


async def test_a_refusal_is_told_to_the_client_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log shows the beginning of both messages, at level debug alone."""
    world = World()
    with caplog.at_level(logging.DEBUG, "bookcast.sessions"):
        world.say("nonsense")
    assert world.heard() == ["error"]
    assert "message received: b'nonsense'" in caplog.text
    assert "Not valid JSON" in caplog.text
    assert world.session.parts.refusals.counts == {"invalid_json": 1}
    caplog.clear()
    with caplog.at_level(logging.INFO, "bookcast.sessions"):
        world.say("nonsense")
    assert caplog.text == ""
    with caplog.at_level(logging.DEBUG, "bookcast.sessions"):
        world.say("x" * 60_000)
    assert len(caplog.text) < 2000


async def test_a_v1_client_is_welcomed_and_told_where_it_begins() -> None:
    """The position of the book that follows."""
    world = World(v1=True)
    await world.publish(1)
    world.session.open(["AAPL"])
    welcome, confirmed, book = world.messages()
    assert (welcome["type"], welcome["client_id"]) == ("welcome", "me")
    assert len(welcome["session"]) > 20
    assert (confirmed["type"], confirmed["seq"]) == ("subscription_confirmed", 1)
    assert (book["type"], book["seq"]) == ("orderbook_update", 1)


async def test_a_client_can_ask_why_and_for_the_whole_state() -> None:
    """Both are about its own subscription."""
    world = World(v1=True)
    await world.publish(1)
    world.say('{"action":"subscribe","symbol":"AAPL","mode":"delta"}')
    await world.publish(2)
    assert world.heard() == ["subscription_confirmed", "orderbook_update", "orderbook_delta"]
    world.say('{"action":"resync","symbol":"AAPL"}')
    world.say('{"action":"why","symbol":"AAPL","id":1}')
    book, why = world.messages()
    assert (book["type"], book["seq"]) == ("orderbook_update", 2)
    # The book shown at first counts as come and sent, the one shown again doesn't.
    assert (why["received"], why["sent"], why["conflated"], why["limited_by"]) == (2, 2, 0, "none")


async def test_what_a_client_publishes_is_answered_in_order() -> None:
    """Each by itself, good or bad, and not to a client that has left."""
    world = World(v1=True)
    for data in ('{"last":1}', '{"last":"x"}', '{"last":2}'):
        world.say(f'{{"action":"publish","channel":"quote","symbol":"A","data":{data}}}')
    assert world.heard() == []
    assert world.session.has_to_wait
    await world.session.work(world.publisher.publish_all)
    assert world.heard() == []  # the answers go out with the books
    world.timer.run()
    assert [(m["type"], m.get("seq")) for m in world.messages()] == [
        ("published", 1),
        ("error", None),
        ("published", 2),
    ]
    assert not world.session.has_to_wait
    world.say('{"action":"publish","channel":"quote","symbol":"A","data":{"last":1}}')

    async def leaving(
        updates: Sequence[PublishedUpdate], rights: Rights, principal: str
    ) -> Sequence[Position | InvalidInput]:
        world.session.close()
        return await world.publisher.publish_all(updates, rights, principal)

    await world.session.work(leaving)
    assert world.heard() == []


async def test_a_client_that_takes_nothing_for_too_long_is_ended() -> None:
    """One that takes a little is not."""
    world = World()
    world.say('{"action":"subscribe","symbol":"AAPL"}')
    world.peer.waiting = 1000
    world.session.hold(world.timer.now)
    world.session.check(1029.0)
    world.peer.waiting = 900
    world.session.check(1030.0)
    world.session.check(1059.0)
    assert world.ended == []
    world.session.check(1060.0)
    assert world.ended == [CloseCode.TOO_SLOW]


async def test_a_long_silence_is_broken_by_a_heartbeat() -> None:
    """Data and answers are no silence; a base client hears nothing unasked."""
    world, base = World(v1=True), World()
    world.say('{"action":"subscribe","symbol":"AAPL"}')
    heard = []
    for second in range(60):
        world.timer.now = base.timer.now = 1000.0 + second
        world.peer.heard_at = base.peer.heard_at = world.timer.now
        if second == 15:
            await world.publish(1)
        if second == 30:
            world.say('{"action":"ping"}')
        world.session.check(world.timer.now)
        base.session.check(base.timer.now)
        heard += [(second, kind) for kind in world.heard() if kind in {"heartbeat", "pong"}]
    assert heard == [
        (9, "heartbeat"),
        (25, "heartbeat"),
        (30, "pong"),
        (39, "heartbeat"),
        (49, "heartbeat"),
        (59, "heartbeat"),
    ]
    assert base.heard() == []


def notices(world: SessionWorld, peer: ClientTransport, seconds: float) -> list[float]:
    """Advance the clock, and return what each notice of a token's end says is left, in seconds."""

    def be_there() -> None:
        peer.heard_at = world.timer.now

    world.wait(seconds, each=be_there)
    return [one["in_ms"] / 1000 for one in peer.messages() if one["type"] == "token_expiring"]


@pytest.mark.parametrize(
    ("lasts", "left"), [(3600, 60), (121, 60), (120, 60), (90, 45), (40, 20), (7, 3.5), (2, 1)]
)
def test_the_end_of_a_token_is_told_once(lasts: float, left: float) -> None:
    """60 s before, or at half of what was left when it was shown, whichever is later."""
    world = SessionWorld()
    owner = Principal("jwt", "alice", EVERYTHING, expires_at=world.timer.now + lasts)
    client = world.enter("me", v1=True, principal=owner)
    assert notices(world, client, lasts - left - 0.5) == []
    assert notices(world, client, left) == [left]
    assert client.ended == []
    assert notices(world, client, 1) == []
    assert client.ended[0] is CloseCode.TOKEN_EXPIRED


def test_a_base_client_hears_nothing_of_its_token() -> None:
    """It is told nothing unsolicited."""
    world = SessionWorld()
    owner = Principal("jwt", "alice", EVERYTHING, expires_at=world.timer.now + 10)
    client = world.enter("me", principal=owner)
    assert notices(world, client, 9) == []


async def test_a_client_that_is_lost_before_its_topic_was_at_hand_keeps_what_it_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It finds all of it when it comes back."""
    world = World()
    at_once = world.engine.open

    read: asyncio.Future[Sequence[Interest]] = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(world.engine, "open", lambda _topics: read)
    lost = world.enter("slow")
    lost.session.receive(b'{"action":"subscribe","symbol":"AAPL"}')
    assert lost.session.has_to_wait
    lost.vanish()
    assert list(lost.session.seen()) == [AAPL]
    assert lost.session.seen()[AAPL][1] is None
    read.set_result(at_once([AAPL]))
    await asyncio.sleep(0)
    assert world.engine.want(AAPL) is None
    monkeypatch.setattr(world.engine, "open", at_once)
    back = world.enter("slow")
    await world.publish(5)
    assert back.volumes() == [("AAPL", 5)]


async def test_what_a_client_loses_the_right_to_while_it_is_read_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was told that it may not see it, and nothing of it stays wanted."""
    world = World(v1=True)
    read: asyncio.Future[Sequence[Interest]] = asyncio.get_running_loop().create_future()
    at_once = world.engine.open
    monkeypatch.setattr(world.engine, "open", lambda topics: read if topics else ())
    world.session.open(())
    world.session.receive(b'{"action":"subscribe","symbol":"AAPL"}')
    narrowed = Principal("jwt", "alice", Rights(channels=frozenset({"trades"})))
    world.session._entitle(narrowed, enter=False)
    read.set_result(at_once([AAPL]))
    await world.session.work(world.publisher.publish_all)
    await world.publish(1)
    heard = [message["type"] for message in world.peer.messages()]
    assert heard == ["welcome", "error"]
    assert world.engine.want(AAPL) is None
