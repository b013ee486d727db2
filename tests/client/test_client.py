"""The calls that a program makes on a client."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

import bookcast
from bookcast.client import BookcastClientError, Client, Position, Refused, Stopped, connect
from tests.support import PATIENCE, eventually

from .world import World

BOOK: Any = {"bids": [[10, 5]], "asks": [[11, 6]]}


def test_publishing_returns_the_position(world: World) -> None:
    """It waits for the first attempt to connect."""
    data: Any = {"trades": [{"price": 1, "size": 1}]}
    published = world.begin(world.client.publish("A", data, channel="trades"))
    world.pass_time()
    assert published.result() == Position("fake-1", 1)


def test_publishing_many_returns_what_became_of_each(world: World) -> None:
    """In their order."""
    world.pass_time()
    updates: list[Any] = [
        {"symbol": "A", "data": BOOK},
        {"symbol": "A", "data": {"last": float("nan")}, "channel": "quote"},
        {"symbol": "A", "data": {"last": 1}, "channel": "quote", "idempotency_key": "k"},
    ]
    published = world.begin(world.client.publish(updates))
    world.pass_time()
    first, second, third = published.result()
    assert (first, third) == (Position("fake-1", 1), Position("fake-1", 1))
    assert isinstance(second, Refused)
    assert "last: NaN" in second.message
    assert [one.get("idempotency_key") for one in world.sent("publish")] == [None, "k"]


def test_publishing_fails_at_once_while_there_is_no_line(world: World) -> None:
    """Nothing old is published later."""
    world.server.is_up = False
    world.pass_time()
    published = world.begin(world.client.publish("A", BOOK))
    world.pass_time()
    error = published.exception()
    assert isinstance(error, BookcastClientError)
    assert (error.code, error.final) == ("not_connected", False)
    world.server.is_up = True
    world.pass_time(60_000)
    assert world.sent("publish") == []


def test_publishing_waits_when_it_is_told_to(make_world: Callable[..., World]) -> None:
    """It sends again what has no answer, under the same key."""
    lost: list[int] = []

    def relay(text: str, _direction: str, pass_on: Callable[[str], None]) -> None:
        if '"published"' in text and not lost:
            lost.append(1)
            world.server.drop()
        else:
            pass_on(text)

    world = make_world(relay=relay)
    published = world.begin(world.client.publish("A", BOOK, wait=20))
    world.pass_time(10_000)
    assert published.result().seq == 2
    keys = [one["idempotency_key"] for one in world.sent("publish")]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    world.server.is_up = False
    world.server.drop()
    failed = world.begin(world.client.publish("A", BOOK, wait=3))
    world.pass_time(10_000)
    assert isinstance(failed.exception(), BookcastClientError)


@pytest.mark.parametrize("wait", [0, 20])
def test_what_the_server_closes_for_as_too_big_isnt_sent_again(
    make_world: Callable[..., World], wait: int
) -> None:
    """It would end each connection; what is smaller is sent again."""

    def relay(text: str, direction: str, pass_on: Callable[[str], None]) -> None:
        if direction == "up" and len(text) > 65_536:
            world.server.drop(1009, "frame exceeds limit of 65536 bytes")
        else:
            pass_on(text)

    world = make_world(relay=relay)
    world.pass_time()
    deep: Any = {"bids": [[number / 4, 1] for number in range(9_000, 1, -1)], "asks": []}
    large = world.begin(world.client.publish("A", deep, wait=wait))
    small = world.begin(world.client.publish("A", BOOK, wait=wait))
    world.pass_time(30_000)
    error = large.exception()
    assert isinstance(error, Refused)
    assert (error.code, error.final) == ("body_too_large", True)
    assert "frame exceeds limit" in error.message
    assert world.client.state == "open"
    if wait:
        assert small.result().seq == 1
    else:
        assert isinstance(small.exception(), BookcastClientError)


def test_what_is_refused_for_now_is_sent_again_at_a_bearable_pace(
    make_world: Callable[..., World],
) -> None:
    """Where the server doesn't say when: it may be in trouble already."""

    def relay(text: str, direction: str, pass_on: Callable[[str], None]) -> None:
        command = json.loads(text)
        if direction == "up" and command["action"] == "publish":
            attempts.append(command["idempotency_key"])
            world.server.say(
                type="error", id=command["id"], code="engine_unavailable", message="Redis is away"
            )
        else:
            pass_on(text)

    attempts: list[str] = []
    world = make_world(relay=relay)
    published = world.begin(world.client.publish("A", BOOK, wait=10))
    world.pass_time(30_000)
    assert isinstance(published.exception(), Refused)
    assert len(attempts) == 10
    assert len(set(attempts)) == 1


def test_what_is_neither_a_symbol_nor_a_list_isnt_published(world: World) -> None:
    """The sentence says what is."""
    wrong: list[Any] = [5, b"A", {"symbol": "A", "data": BOOK}]
    for symbol in wrong:
        published = world.begin(world.client.publish(symbol, BOOK))
        world.pass_time()
        error = published.exception()
        assert isinstance(error, Refused)
        assert "a list of updates" in error.message


def test_a_thread_that_outlives_the_loop_is_told() -> None:
    """A vendor's callback gets no exception that it doesn't expect."""
    client = connect("ws://127.0.0.1:9")

    async def enter() -> None:
        async with client:
            pass

    asyncio.run(enter())
    error = client.publish_threadsafe("A", BOOK).exception(timeout=PATIENCE)
    assert isinstance(error, Stopped)


async def test_another_thread_publishes(bookcast_server: bookcast.ServerThread) -> None:
    """What JSON has no words for is refused where it is awaited."""
    async with connect(bookcast_server.http_url) as client:
        future = await asyncio.to_thread(client.publish_threadsafe, "A", BOOK)
        assert (await asyncio.wrap_future(future)).seq == 1
        wrong = await asyncio.to_thread(client.publish_threadsafe, "A", {"bids": object()})
        with pytest.raises(Refused, match="JSON"):
            await asyncio.wrap_future(wrong)
    with pytest.raises(BookcastClientError, match="Enter the client first"):
        connect().publish_threadsafe("A", BOOK).result()


def test_why_has_the_servers_answer_and_the_clients(world: World) -> None:
    """How it is asked for over the wire, and how the line stands."""
    book = world.client.order_book("A", depth=5)
    world.pass_time()
    asked = world.begin(world.client.why(book))
    world.pass_time()
    why = asked.result()
    assert (why.state, why.client_state, why.limited_by) == ("pending", "pending", "none")
    assert why.asked is not None
    assert (why.asked.depth, why.line.state) == (5, "open")


def test_the_line_is_told_to_whoever_listens(world: World) -> None:
    """Each change, with its reason."""
    told: list[Any] = []
    stop = world.client.on_state(told.append)
    world.pass_time()
    world.server.drop(1012, "the server restarts")
    world.pass_time()
    assert [status.state for status in told] == ["open", "waiting"]
    assert (told[-1].code, told[-1].reason) == (1012, "the server restarts")
    assert world.client.line == told[-1]
    stop()
    stop()
    world.pass_time(10_000)
    assert (world.client.state, len(told)) == ("open", 2)


def test_what_is_asked_of_a_closed_client_says_so(world: World) -> None:
    """Iterations end; publishing raises."""
    world.pass_time()
    world.end()
    late = world.client.quote("A")
    seen = world.collect(late)
    published = world.begin(world.client.publish("A", BOOK))
    world.loop.settle()
    assert seen.ended
    assert isinstance(published.exception(), Stopped)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda client: client.order_book("A", depth=0), "depth: a whole number from 1 to 1000"),
        (lambda client: client.order_book("A", depth=2.5), "depth"),
        (lambda client: client.order_book("A", depth=True), "depth"),
        (lambda client: client.order_book("A", mode="deltas"), "mode: 'full' or 'delta'"),
        (lambda client: client.order_book("A", variant="even"), "variant"),
        (lambda client: client.quote("A", interval_ms=-1), "interval_ms"),
        (lambda client: client.trades("A", history=10_001), "history"),
        (lambda client: client.candles("A", period="2m"), "period: one of 1m"),
        (lambda client: client.quote(""), "symbol: text such as"),
        (lambda client: client.quote(["A", "B"]), "symbol: text such as"),
        (lambda client: client.quote("A\ud800"), "symbol: text such as"),
    ],
)
def test_an_option_that_makes_no_sense_is_refused_at_once(
    world: World, wrong: Callable[[Client], object], says: str
) -> None:
    """It spoils no other subscription."""
    with pytest.raises(ValueError, match=says):
        wrong(world.client)
    assert world.client.subscriptions() == []


def test_a_client_says_what_is_wrong_with_its_making() -> None:
    """And that it has to be entered."""
    with pytest.raises(ValueError, match="Name the server"):
        connect("host:8002")
    with pytest.raises(ValueError, match="not both"):
        connect(token="t", get_token=lambda: "t")
    wrong: Any = connect
    for client_id in ("", 5):
        with pytest.raises(ValueError, match="client_id: text"):
            wrong(client_id=client_id)
    for token in ("", 5, b"t"):
        with pytest.raises(ValueError, match=r"token: text, not (empty|int|bytes)"):
            wrong(token=token)
    with pytest.raises(ValueError, match="get_token: a function that returns a token, not str"):
        wrong(get_token="t")
    with pytest.raises(ValueError, match="max_buffered"):
        connect(max_buffered=0)
    client = connect()
    assert (client.state, client.subscriptions()) == ("connecting", [])
    with pytest.raises(BookcastClientError, match="async with"):
        client.quote("A")


async def test_it_is_entered_once() -> None:
    """And may be closed before it is open."""
    client = connect("ws://127.0.0.1:9")
    async with client:
        with pytest.raises(RuntimeError, match="once"):
            await client.__aenter__()
    await client.close()


async def test_a_second_connection_under_an_id_in_use_doesnt_disturb_the_first(
    bookcast_server: bookcast.ServerThread,
) -> None:
    """Both live, and each has its own session."""
    bookcast_server.publish("A", {"bids": [[10, 5]], "asks": []})
    async with (
        connect(bookcast_server.http_url, client_id="me") as one,
        connect(bookcast_server.http_url, client_id="me") as other,
    ):
        for client in (one, other):
            async with asyncio.timeout(PATIENCE):
                assert (await client.order_book("A").next()).bids[0].price == 10
        tapes = [client.trades("A") for client in (one, other)]
        for client, tape in zip((one, other), tapes, strict=True):
            await eventually(lambda tape=tape: tape.state != "connecting", "a subscription")  # type: ignore[misc] # mypy can't infer a lambda's default
            assert client.state == "open"
        bookcast_server.publish("A", {"trades": [{"price": 1, "size": 1}]}, channel="trades")
        for tape in tapes:
            async with asyncio.timeout(PATIENCE):
                assert len((await tape.next()).trades) == 1
    assert (one.state, other.state) == ("stopped", "stopped")
