"""What outlives a connection: subscriptions, positions, tokens."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bookcast.client import BookcastClientError, Gap, Stopped

from .world import World, prices

BOOK = {"bids": [[10, 5]], "asks": [[11, 6]]}


def good(token: str) -> float | str:
    """Answer that a token is valid for 20 s."""
    return 20_000 if token.startswith("good") else "invalid_token"


def test_a_session_is_resumed_from_the_positions_that_came(world: World) -> None:
    """Without subscribing again; a book is connecting meanwhile, and keeps its value."""
    world.server.publish("A", BOOK)
    book = world.client.order_book("A")
    tape = world.collect(world.client.trades("A"))
    world.pass_time()
    world.server.trade("A", {"price": 1})
    world.pass_time()
    before = book.value
    world.server.drop()
    world.pass_time()
    assert (book.state, book.value) == ("connecting", before)
    world.server.trade("A", {"price": 2})
    world.server.trade("A", {"price": 3})
    world.pass_time(1_000)
    assert len(world.sent("subscribe")) == 2
    [resume] = world.sent("resume")
    assert resume["session"] == "session-1"
    assert [(one["channel"], one["seq"]) for one in resume["positions"]] == [
        ("orderbook", 1),
        ("trades", 1),
    ]
    assert prices(tape.items) == [1, 2, 3]
    assert book.state == "live"
    world.server.publish("A", BOOK | {"bids": []})
    world.pass_time()
    assert book.value is not None
    assert book.value.bids == ()


def test_where_the_session_is_gone_it_subscribes_again_with_since(world: World) -> None:
    """Once per topic, and what is missing is a gap."""
    world.server.publish("A", BOOK)
    world.client.order_book("A")
    world.client.quote("A")
    tape = world.collect(world.client.trades("A"))
    world.pass_time()
    world.server.trade("A", {"price": 1})
    world.pass_time()
    world.server.restart()
    world.server.trade("A", {"price": 2})
    world.pass_time(1_000)
    world.server.trade("A", {"price": 3})
    world.pass_time()
    since = {"epoch": "fake-1", "seq": 1}
    again = {one["channel"]: one["since"] for one in world.sent("subscribe")[3:]}
    assert again == {"orderbook": since, "quote": None, "trades": since}
    assert len(world.sent("subscribe")) == 6
    assert prices(tape.items) == [1, 2, 3]
    gaps = [item.gap for item in tape.items]
    assert gaps[0] is gaps[2] is None
    assert gaps[1] is not None
    assert (gaps[1].from_seq, gaps[1].to_seq, gaps[1].reason) == (None, None, "epoch")


def test_a_session_that_cant_be_found_for_now_is_asked_for_again(
    make_world: Callable[..., World],
) -> None:
    """After what the server says."""
    refusals = [1, 2]

    def relay(text: str, direction: str, pass_on: Callable[[str], None]) -> None:
        if direction == "up" and '"resume"' in text and refusals:
            refusals.pop()
            number = int(text.rpartition('"id":')[2].rstrip("}"))
            code = {"code": "engine_unavailable", "message": "away", "retry_after_ms": 700}
            world.server.say(type="error", id=number, **code)
        else:
            pass_on(text)

    world = make_world(relay=relay)
    book = world.client.order_book("A")
    world.pass_time()
    world.server.drop()
    world.pass_time(3_000)
    assert (len(world.sent("resume")), len(world.sent("subscribe"))) == (1, 1)
    assert book.state == "pending"


def test_a_session_that_is_taken_over_ends_the_client_for_good(world: World) -> None:
    """Whatever is asked of it afterwards says why."""
    seen = world.collect(world.client.trades("A"))
    world.pass_time()
    world.server.drop(4501, "another connection resumed the session")
    world.pass_time(100_000)
    assert (world.client.line.state, world.client.line.code, world.client.line.final) == (
        "stopped",
        4501,
        True,
    )
    later = world.collect(world.client.quote("B"))
    published = world.begin(world.client.publish("B", {"bids": [], "asks": []}))
    world.pass_time()
    for error in (seen.error, later.error, published.exception()):
        assert isinstance(error, Stopped)
        assert (error.code, error.final) == (4501, True)


def test_messages_that_make_no_sense_change_nothing(world: World) -> None:
    """And break nothing."""
    world.server.publish("A", BOOK)
    book = world.client.order_book("A")
    tape = world.collect(world.client.trades("A"))
    world.pass_time()
    kinds = "welcome subscription_confirmed orderbook_update orderbook_delta trade gap status"
    kinds += " resumed error authenticated going_awry pong heartbeat published why __init__"
    about: dict[str, Any] = {"channel": "orderbook", "symbol": "A"}
    for kind in kinds.split():
        world.server.say(type=kind)
        world.server.say(type=kind, **about, id={}, epoch=3, seq="x", ts=1, data=[], view=None)
        world.server.say(type=kind, **about, epoch=None, seq=None, data={"trades": [None]})
        world.server.say(type=kind, channel="trades", symbol="A", seq=4, epoch="e", data=[None])
    for socket in world.server.sockets:
        for data in (b"", b"{", b"null", b"3", b"[", b"\0", b"\xff\xfe", b'{"type":3}', b"{}"):
            assert socket.events is not None
            socket.events.received(data)
    world.pass_time(90_000)
    world.server.publish("A", BOOK | {"asks": []})
    world.server.trade("A", {"price": 1})
    world.pass_time(10_000)
    assert book.value is not None
    assert book.value.asks == ()
    assert prices(tape.items) == [1]


def test_a_token_is_shown_in_band_and_renewed_before_it_expires(
    make_world: Callable[..., World],
) -> None:
    """On the same connection; it is asked for once at a time."""
    calls: list[int] = []
    running: list[int] = []

    async def get_token() -> str:
        assert not running
        running.append(1)
        await asyncio.sleep(0.003)
        running.pop()
        calls.append(1)
        return f"good-{len(calls)}"

    world = make_world(get_token=get_token, tokens=good)
    world.server.publish("A", BOOK)
    book = world.client.order_book("A")
    world.pass_time(10)
    assert book.state == "live"
    for _ in range(30):
        world.pass_time(10_000)
        world.server.say(type="token_expiring", in_ms=10_000)
        world.server.say(type="token_expiring", in_ms=10_000)
    world.pass_time(10)
    assert world.client.state == "open"
    assert len(calls) == 31
    assert world.server.connection_count == 1
    assert len(world.sent("subscribe")) == 1


def test_a_token_that_is_refused_ends_the_client_with_a_typed_error(
    make_world: Callable[..., World],
) -> None:
    """Where it was just made."""

    async def get_token() -> str:
        return "bad"

    world = make_world(tokens=good, get_token=get_token)
    errors: list[BookcastClientError] = []
    world.client.on_error(errors.append)
    seen = world.collect(world.client.order_book("A"))
    world.pass_time(100_000)
    assert (world.client.state, world.client.line.code) == ("stopped", 4503)
    assert isinstance(seen.error, Stopped)
    assert (seen.error.code, seen.error.final) == ("invalid_token", True)
    assert "invalid_token" in [error.code for error in errors]
    assert len(world.sent("authenticate")) == 1


def test_a_token_that_was_good_once_is_replaced(make_world: Callable[..., World]) -> None:
    """Only a new one's refusal is final."""
    calls: list[int] = []
    revoked: list[str] = []

    async def get_token() -> str:
        calls.append(1)
        return f"good-{len(calls)}"

    world = make_world(
        get_token=get_token, tokens=lambda one: "invalid_token" if one in revoked else None
    )
    world.pass_time()
    revoked.append("good-1")
    world.server.drop()
    world.pass_time(5_000)
    assert (world.client.state, len(calls)) == ("open", 2)


def test_a_token_that_has_expired_by_the_servers_word_is_replaced(
    make_world: Callable[..., World],
) -> None:
    """However often."""
    calls: list[int] = []

    async def get_token() -> str:
        calls.append(1)
        return f"t-{len(calls)}"

    world = make_world(
        get_token=get_token, tokens=lambda _one: "token_expired" if len(calls) < 4 else None
    )
    world.pass_time(60_000)
    assert (world.client.state, len(calls)) == ("open", 4)


def test_a_token_that_cant_be_had_touches_nothing_else(make_world: Callable[..., World]) -> None:
    """It is tried again, whatever went wrong."""
    calls: list[int] = []

    async def get_token() -> Any:
        calls.append(1)
        match len(calls):
            case 2:
                raise OSError("no network")
            case 3:
                raise RuntimeError("503")
            case 4:
                return ""
            case 5:
                return b"good"
        return "good"

    world = make_world(get_token=get_token, tokens=good)
    errors: list[BookcastClientError] = []
    world.client.on_error(errors.append)
    world.server.publish("A", BOOK)
    book = world.client.order_book("A")
    world.pass_time()
    world.server.say(type="token_expiring", in_ms=10_000)
    world.pass_time(1)
    assert (world.client.state, book.state) == ("open", "live")
    world.pass_time(40_000)
    assert len(calls) == 6
    assert [error.code for error in errors] == ["no_token"] * 4
    assert world.server.connection_count == 1


def test_a_token_that_the_server_asks_for_and_nobody_has_ends_the_client(
    make_world: Callable[..., World],
) -> None:
    """Saying what to pass."""
    world = make_world(tokens=good)
    seen = world.collect(world.client.quote("A"))
    world.pass_time()
    assert world.client.line.final
    assert "get_token" in (world.client.line.reason or "")
    assert isinstance(seen.error, Stopped)
    assert seen.error.code == "unauthenticated"


async def fixed() -> str:
    """Return the token that a program was given."""
    return "good"


@pytest.mark.parametrize("code", ["token_expired", "invalid_token"])
def test_a_fixed_token_that_has_expired_ends_the_client(
    make_world: Callable[..., World], code: str
) -> None:
    """There is no other; the server's warnings are of no use."""
    expired: list[int] = []
    world = make_world(token="good", tokens=lambda _one: code if expired else None)
    # A thread would have to be waited for.
    world.client._begun.line.tokens._get_token = fixed  # type: ignore[union-attr] # it has begun
    world.pass_time()
    world.server.say(type="token_expiring", in_ms=10_000)
    world.pass_time()
    assert (world.client.state, len(world.sent("authenticate"))) == ("open", 1)
    expired.append(1)
    world.server.drop(4010, "the token has expired")
    world.pass_time(60_000)
    assert (world.client.state, len(world.sent("authenticate"))) == ("stopped", 2)


def test_the_clocks_are_compared(world: World) -> None:
    """A message that travelled longer makes the server's look slower."""
    session = world.client._session
    world.pass_time()
    world.server.say(type="pong", server_time=world.now() + 500)
    world.server.say(type="heartbeat", server_time=world.now() + 400)
    world.pass_time()
    assert session.clock_offset == 500
    world.server.say(type="heartbeat", server_time=world.now() + 900)
    world.pass_time()
    assert session.clock_offset == 900


def test_a_listener_that_fails_stops_nobody_else(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The log tells of it."""
    told: list[Any] = []
    world.client.on_state(lambda _status: 1 / 0)
    stop = world.client.on_state(told.append)
    world.pass_time()
    assert [status.state for status in told] == ["open"]
    assert "a listener of the program's failed" in caplog.text
    stop()
    world.server.drop()
    world.pass_time()
    assert len(told) == 1


def test_a_message_that_is_nested_too_deeply_is_passed_over(world: World) -> None:
    """What is unknown in it may be anything."""
    book = world.client.order_book("A")
    world.pass_time()
    [connection] = world.server._connections
    deep = "[" * 100_000 + "]" * 100_000
    assert connection.socket.events is not None
    connection.socket.events.received(b'{"type":"from the future","new":' + deep.encode() + b"}")
    world.server.publish("A", {"bids": [[10, 5]], "asks": []})
    world.pass_time()
    assert (book.state, world.client.state) == ("live", "open")


def test_a_gap_with_a_reason_of_a_later_release_counts(world: World) -> None:
    """Its numbers say what is missing; without them the trades after it would be asked for."""
    tape = world.collect(world.client.trades("A"))
    world.pass_time()
    world.server.trade("A", {"price": 1})
    world.pass_time()
    usual = {"channel": "trades", "symbol": "A", "epoch": "fake-1"}
    trade = {"price": 6, "size": 1, "side": "buy", "timestamp": 1}
    world.server.say(type="gap", **usual, from_seq=2, to_seq=5, reason="of_the_future")
    world.server.say(
        type="trade", **usual, seq=6, prev_seq=5, ts=[None, None, 1], data={"trades": [trade]}
    )
    world.pass_time()
    assert tape.items[-1].trades[0].price == 6
    assert tape.items[-1].gap == Gap("fake-1", 2, 5, "unreadable")
    assert len(world.sent("subscribe")) == 1
