from collections.abc import Callable
from typing import Any

import pytest

from bookcast.auth.principal import Principal, Rights
from bookcast.errors import CloseCode, InvalidInput
from bookcast.model.market_data import Book, Level
from bookcast.model.topics import Topic
from bookcast.model.updates import Publication
from bookcast.protocol.subscriptions import ConnectionRules
from tests.sessions.world import ClientTransport, SessionWorld
from tests.support import AAPL, TRADES, TSLA, trades

ALICE = Principal("jwt", "alice", Rights())
BOB = Principal("jwt", "bob", Rights())


def test_the_registry_counts_who_is_there_and_who_came() -> None:
    """And what they are subscribed to."""
    world = SessionWorld()
    first, second = world.enter("one", "AAPL", "TSLA"), world.enter("two", "AAPL")
    assert (len(world.registry), world.registry.subscription_count()) == (2, 3)
    second.session.hold(0.0)
    assert world.registry.held() == [second.session]
    first.goodbye()
    first.goodbye()
    assert (len(world.registry), world.registry.accepted) == (1, 2)


def test_a_session_that_cannot_be_checked_keeps_no_other_from_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log has why."""
    world = SessionWorld()
    broken, well = world.enter("broken"), world.enter("well")
    nothing: Any = None
    broken.session._liveness = nothing
    world.wait(21)
    assert well.pings == [b""]
    line = next(one for one in caplog.records if "a fault of ours" in one.message)
    assert vars(line)["client_id"] == "broken"


async def test_a_base_client_that_comes_back_gets_the_newest_book_of_what_moved() -> None:
    """Its subscriptions are there, nothing is confirmed, and what didn't move isn't repeated."""
    world = SessionWorld()
    first = world.enter("me", "AAPL", "TSLA")
    await world.publish(1)
    await world.publish(1, TSLA)
    first.vanish(read_all=True)
    assert (world.ownership.lost, world.hub.subscriber_count(AAPL)) == (1, 0)
    for size in (2, 3):
        await world.publish(size)
    again = world.enter("me")
    assert again.volumes() == [("AAPL", 3)]
    assert (world.ownership.lost, world.ownership.resumed) == (0, 1)
    await world.publish(4, TSLA)
    assert again.volumes() == [("TSLA", 4)]


async def test_what_may_never_have_come_is_sent_again() -> None:
    """Books sent after the client was last heard of, however much the network took of them."""
    world = SessionWorld()
    first = world.enter("me", "AAPL", "TSLA")
    await world.publish(1, TSLA)
    world.wait(5)
    first.say("ping")
    world.wait(5)
    await world.publish(1)
    first.vanish()
    assert world.enter("me").volumes() == [("AAPL", 1)]


async def test_a_book_shown_when_the_client_subscribed_counts_from_then() -> None:
    """However old it was."""
    world = SessionWorld()
    await world.publish(1)
    world.wait(60)
    first = world.enter("me")
    first.say("subscribe", symbol="AAPL")
    first.vanish()
    assert world.enter("me").volumes() == [("AAPL", 1)]


async def test_a_client_that_says_goodbye_leaves_nothing() -> None:
    """Nor does one that was never subscribed to anything."""
    world = SessionWorld()
    first = world.enter("me", "AAPL")
    first.goodbye()
    world.enter("other").vanish()
    assert (world.ownership.lost, world.hub.topics()) == (0, {})
    await world.publish(1)
    assert world.enter("me").messages() == []


async def test_a_session_waits_for_its_time_and_no_longer() -> None:
    """Then the topic ceases to be wanted."""
    world = SessionWorld(ttl=60)
    world.enter("me", "AAPL").vanish()
    world.wait(59)
    assert world.ownership.lost == 1
    world.wait(1)
    assert (world.ownership.lost, world.ownership.expired, world.hub.topics()) == (0, 1, {})
    assert world.enter("me").messages() == []


def test_without_a_time_nobody_is_waited_for() -> None:
    """SESSION_TTL=0."""
    world = SessionWorld(ttl=0)
    world.enter("me", "AAPL").vanish()
    assert world.ownership.lost == 0


def test_sessions_that_wait_are_bounded() -> None:
    """By their subscriptions; who has waited longest makes room."""
    world = SessionWorld(max_parked=2)
    for client_id in ("a", "b", "c"):
        world.enter(client_id, "AAPL").vanish()
    assert (world.ownership.lost, world.ownership.expired) == (2, 1)
    world.enter("b")
    assert world.ownership.resumed == 1


async def test_a_session_is_found_by_its_owner_alone() -> None:
    """Guessing an id is not enough."""
    world = SessionWorld()
    world.enter("me", "AAPL", principal=ALICE).vanish()
    await world.publish(1)
    assert world.enter("me", principal=BOB).messages() == []
    assert world.enter("me", principal=ALICE).volumes() == [("AAPL", 1)]


async def test_lost_rights_are_not_inherited() -> None:
    """What the client may see is judged anew."""
    world = SessionWorld()
    world.enter("me", "AAPL", "TSLA", principal=ALICE).vanish()
    await world.publish(1)
    await world.publish(1, TSLA)
    poorer = Principal("jwt", "alice", Rights(symbols=("US.TSLA",)))
    again = world.enter("me", principal=poorer)
    assert again.volumes() == [("TSLA", 1)]
    assert world.hub.topics() == {TSLA: 1}


async def test_symbols_in_the_address_come_before_what_was_left_behind() -> None:
    """They are confirmed; the rest comes back as it was."""
    world = SessionWorld()
    world.enter("me", "AAPL", "TSLA").vanish()
    await world.publish(1)
    await world.publish(2, TSLA)
    again = world.enter("me", "TSLA", "MSFT")
    assert again.heard() == [
        "subscription_confirmed",
        "orderbook_update",
        "subscription_confirmed",
        "orderbook_update",
    ]
    assert again.session.subscription_count == 3


async def test_with_a_queue_of_all_every_book_comes() -> None:
    """In order, also for one that was only slow."""
    world = SessionWorld(ConnectionRules(keeps_all=True))
    first = world.enter("me", "AAPL")
    await world.publish(1)
    first.vanish(read_all=True)
    for size in range(2, 40):
        await world.publish(size)
    again = world.enter("me")
    assert again.volumes() == [("AAPL", size) for size in range(2, 40)]
    again.session.hold(0.0)
    for size in (50, 51):
        await world.publish(size)
    again.session.catch_up()
    assert again.volumes() == [("AAPL", 50), ("AAPL", 51)]


async def test_the_queue_of_all_is_bounded_and_what_is_lost_is_counted() -> None:
    """It ends on the newest."""
    world = SessionWorld(ConnectionRules(keeps_all=True), history_size=10)
    first = world.enter("me", "AAPL")
    await world.publish(100)
    first.vanish(read_all=True)
    for size in range(100):
        await world.publish(size)
    assert world.enter("me").volumes() == [("AAPL", size) for size in range(90, 100)]
    assert world.hub.gapped == 90


async def test_every_book_of_one_flush_comes_too() -> None:
    """A queue of all knows no conflation."""
    world = SessionWorld(ConnectionRules(keeps_all=True))
    client = world.enter("me", "AAPL")
    for size in range(50):
        await world.engine.publish([Publication(AAPL, Book((Level(1, size),), ()))])
    world.flush()
    assert client.volumes() == [("AAPL", size) for size in range(50)]


# A live client id


async def test_a_client_that_answers_keeps_its_session() -> None:
    """The newcomer begins with nothing, and both live on."""
    world = SessionWorld()
    first = world.enter("me", "AAPL")
    first.messages()
    second = world.enter("me")
    assert len(first.pings) == 1
    first.pong()
    assert world.ownership.duplicates == 1
    second.say("subscribe", symbol="TSLA")
    await world.publish(1)
    await world.publish(2, TSLA)
    world.wait(5)
    assert (first.volumes(), second.volumes()) == ([("AAPL", 1)], [("TSLA", 2)])
    assert first.ended == second.ended == []


async def test_one_that_does_not_answer_passes_its_session_on() -> None:
    """After a second and a half, and with what was sent into the void."""
    world = SessionWorld()
    first = world.enter("me", "AAPL")
    world.wait(5)
    await world.publish(1)
    second = world.enter("me")
    world.wait(1)
    assert (first.ended, second.messages()) == ([], [])
    world.wait(0.5)
    assert first.ended == [CloseCode.HEARTBEAT_MISSED]
    assert second.volumes() == [("AAPL", 1)]
    assert (world.ownership.duplicates, world.ownership.resumed) == (0, 1)
    first.pong()
    assert world.ownership.duplicates == 0


async def test_one_that_is_lost_while_it_is_asked_passes_its_session_on_at_once() -> None:
    """There is nothing left to wait for."""
    world = SessionWorld()
    first = world.enter("me", "AAPL")
    second = world.enter("me")
    await world.publish(1)
    first.vanish()
    assert second.volumes() == [("AAPL", 1)]


def test_one_that_says_goodbye_while_it_is_asked_leaves_nothing() -> None:
    """The id is free then."""
    world = SessionWorld()
    first = world.enter("me", "AAPL")
    second = world.enter("me")
    first.goodbye()
    assert second.session.subscription_count == 0
    second.say("subscribe", symbol="TSLA")
    second.vanish()
    assert world.enter("me").session.subscription_count == 1


def test_what_the_newcomer_declined_meanwhile_is_not_handed_on() -> None:
    """It wins over what an earlier connection wanted."""
    world = SessionWorld()
    world.enter("me", "AAPL", "TSLA")
    second = world.enter("me")
    second.say("unsubscribe", symbol="TSLA")
    world.wait(2)
    assert second.session.subscription_count == 1


def test_of_several_newcomers_the_first_gets_the_session() -> None:
    """The others begin with nothing."""
    world = SessionWorld()
    world.enter("me", "AAPL")
    newcomers = [world.enter("me") for _ in range(3)]
    newcomers[0].vanish()
    world.wait(2)
    newcomers[1].pong()
    counts = [one.session.subscription_count for one in newcomers]
    assert counts == [0, 1, 0]
    assert world.ownership.duplicates == 1


def test_a_warning_names_the_id_that_several_use(caplog: pytest.LogCaptureFixture) -> None:
    """Once a minute: whoever hard-codes an id has thousands of clients."""
    world = SessionWorld()
    first = world.enter("dashboard", "AAPL")
    world.enter("dashboard")
    first.pong()
    world.enter("dashboard")
    first.pong()
    [line] = [one for one in caplog.records if "used by several connections" in one.message]
    assert vars(line)["client_id"] == "dashboard"
    assert world.ownership.duplicates == 2


def test_a_duplicate_is_not_waited_for_while_the_owner_is_there() -> None:
    """Nobody could tell whose session it is."""
    world = SessionWorld()
    first = world.enter("me", "AAPL")
    second = world.enter("me")
    first.pong()
    second.say("subscribe", symbol="TSLA")
    second.vanish()
    assert world.ownership.lost == 0


def test_two_tabs_that_reconnect_do_not_fight() -> None:
    """Each answers when the other comes: nobody is closed."""
    world = SessionWorld()
    first = world.enter("me", "AAPL")
    for _ in range(20):
        second = world.enter("me")
        first.pong()
        world.wait(2)
        second.vanish()
    assert (first.ended, first.session.subscription_count) == ([], 1)


# Resuming by token


def resume(peer: ClientTransport, token: str, *places: tuple[str, str, str, int]) -> None:
    peer.say(
        "resume",
        session=token,
        id=1,
        positions=[
            {"channel": channel, "symbol": symbol, "epoch": epoch, "seq": seq}
            for channel, symbol, epoch, seq in places
        ],
    )


def welcomed(world: SessionWorld, **options: Any) -> tuple[ClientTransport, str]:
    peer = world.enter("me", v1=True, **options)
    [welcome] = peer.messages()
    return peer, welcome["session"]


async def test_a_v1_client_goes_on_where_it_says_it_was() -> None:
    """Every trade once, also those that were on their way when it was lost."""
    world = SessionWorld()
    first, token = welcomed(world)
    first.say("subscribe", symbol="AAPL", channel="trades")
    for size in range(1, 6):
        await world.publish(size, TRADES)
    assert first.trades() == [1, 2, 3, 4, 5]
    first.vanish()
    for size in range(6, 9):
        await world.publish(size, TRADES)
    again, _ = welcomed(world)
    resume(again, token, ("trades", "AAPL", "e", 3))
    resumed, trade = again.messages()
    assert resumed["type"] == "resumed"
    assert resumed["refused"] == []
    [restored] = resumed["restored"]
    assert restored == {
        "channel": "trades",
        "symbol": "AAPL",
        "view": {"depth": None, "mode": "full", "interval_ms": 0},
        "epoch": "e",
        "seq": 3,
        "recovered": True,
    }
    assert [one["size"] for one in trade["data"]["trades"]] == [4, 5, 6, 7, 8]
    assert (trade["prev_seq"], trade["seq"]) == (3, 8)
    await world.publish(9, TRADES)
    assert again.trades() == [9]
    assert world.ownership.resumed == 1


async def test_past_the_history_there_is_a_gap() -> None:
    """It is told before what is left."""
    world = SessionWorld(history_size=3)
    first, token = welcomed(world)
    first.say("subscribe", symbol="AAPL", channel="trades")
    await world.publish(1, TRADES)
    first.vanish()
    for size in range(2, 12):
        await world.publish(size, TRADES)
    again, _ = welcomed(world)
    resume(again, token, ("trades", "AAPL", "e", 1))
    resumed, gap, trade = again.messages()
    assert resumed["restored"][0]["recovered"] is False
    assert (gap["from_seq"], gap["to_seq"], gap["reason"]) == (2, 8, "overflow")
    assert [one["size"] for one in trade["data"]["trades"]] == [9, 10, 11]


async def test_a_book_goes_on_by_a_delta_only_from_where_the_client_says_it_was() -> None:
    """And only while nothing newer came; else it begins with the whole book."""
    world = SessionWorld()
    token = ""
    for place, came, kinds in (
        (2, [], []),
        (2, [3], ["orderbook_update"]),
        (1, [], ["orderbook_update"]),
        (1, [3], ["orderbook_update"]),
    ):
        first, token = welcomed(world)
        first.say("subscribe", symbol="AAPL", mode="delta")
        world.engine._logs.clear()
        for size in (1, 2):
            await world.publish(size)
        first.vanish(read_all=True)
        for size in came:
            await world.publish(size)
        again, _ = welcomed(world)
        resume(again, token, ("orderbook", "AAPL", "e", place))
        assert again.heard() == ["resumed", *kinds]
        await world.publish(4)
        assert again.heard() == ["orderbook_delta"]
        again.goodbye()


async def test_with_nothing_new_nothing_comes() -> None:
    """Of a state that the client has."""
    world = SessionWorld()
    first, token = welcomed(world)
    first.say("subscribe", symbol="AAPL")
    await world.publish(1)
    first.vanish()
    again, _ = welcomed(world)
    resume(again, token, ("orderbook", "AAPL", "e", 1))
    assert again.heard() == ["resumed"]


async def test_what_the_client_names_no_position_of_begins_with_the_newest() -> None:
    """And what it names that was never there is refused by itself."""
    world = SessionWorld()
    first, token = welcomed(world)
    first.say("subscribe", symbol="AAPL")
    first.say("subscribe", symbol="AAPL", channel="trades")
    await world.publish(1)
    await world.publish(1, TRADES)
    first.vanish()
    await world.publish(2, TRADES)
    again, _ = welcomed(world)
    resume(again, token, ("orderbook", "TSLA", "e", 1), ("nonsense", "X", "e", 1))
    resumed, book = again.messages()
    assert [(one["channel"], one["recovered"]) for one in resumed["restored"]] == [
        ("orderbook", False),
        ("trades", False),
    ]
    unknown, missing = resumed["refused"]
    assert unknown.pop("message").startswith("There is no channel 'nonsense'; there are orderbook")
    assert unknown == {"channel": "nonsense", "symbol": "X", "code": "unknown_channel"}
    assert missing == {"channel": "orderbook", "symbol": "TSLA", "code": "not_subscribed"}
    assert book["type"] == "orderbook_update"


async def test_an_epoch_that_is_over_is_a_gap() -> None:
    """Nobody can tell what came between."""
    world = SessionWorld()
    first, token = welcomed(world)
    first.say("subscribe", symbol="AAPL", channel="trades")
    await world.publish(1, TRADES)
    first.vanish()
    await world.engine.publish([Publication(TRADES, trades(2), breaks=True)])
    world.flush()
    again, _ = welcomed(world)
    resume(again, token, ("trades", "AAPL", "e", 1))
    assert again.heard() == ["resumed", "gap", "trade"]


async def test_a_session_that_is_still_connected_is_taken_over_by_its_token() -> None:
    """The connection that had it is told why it ends."""
    world = SessionWorld()
    first, token = welcomed(world)
    first.say("subscribe", symbol="AAPL")
    again, own = welcomed(world)
    resume(again, token)
    assert first.ended == [CloseCode.TAKEN_OVER]
    resumed = again.messages()[0]
    assert resumed["session"] == own
    assert again.session.subscription_count == 1
    assert world.ownership.lost == 0


async def test_both_the_old_and_the_new_token_are_good_for_the_next_time() -> None:
    """The answer that told the new one may have been lost on its way."""
    for use_old in (True, False):
        world = SessionWorld()
        first, old = welcomed(world)
        first.say("subscribe", symbol="AAPL")
        first.vanish()
        second, new = welcomed(world)
        resume(second, old)
        second.vanish()
        third, _ = welcomed(world)
        resume(third, old if use_old else new)
        assert third.heard()[0] == "resumed"
        third.vanish()
        fourth, _ = welcomed(world)
        resume(fourth, new if use_old else old)
        assert fourth.heard() == ["error"]


@pytest.mark.parametrize("principal", [BOB, None])
def test_a_token_is_good_for_its_owner_alone(principal: Principal | None) -> None:
    """Whoever else has it learns nothing."""
    world = SessionWorld()
    first, token = welcomed(world, principal=ALICE)
    first.say("subscribe", symbol="AAPL")
    first.vanish()
    other = world.enter("me", v1=True, principal=principal)
    other.messages()
    resume(other, token)
    [error] = other.messages()
    assert error["code"] == ("unknown_session" if principal else "unauthenticated")
    assert world.ownership.lost == 1


def test_resuming_adds_to_what_is_subscribed_already() -> None:
    """By the address, for instance; a connection can't resume itself."""
    world = SessionWorld()
    first, token = welcomed(world)
    first.say("subscribe", symbol="AAPL")
    first.vanish()
    again, own = welcomed(world)
    resume(again, own)
    assert again.messages()[0]["code"] == "unknown_session"
    again.say("subscribe", symbol="TSLA")
    again.messages()
    resume(again, token)
    assert again.heard()[0] == "resumed"
    assert again.session.subscription_count == 2


async def test_a_client_whose_compression_changed_goes_on_all_the_same() -> None:
    """A delta may not lead from one view to another."""
    world = SessionWorld()
    first, token = welcomed(world)
    first.say("subscribe", symbol="AAPL", mode="delta")
    first.say("subscribe", symbol="AAPL", channel="trades")
    await world.publish(1)
    await world.publish(1, TRADES)
    first.vanish()
    await world.publish(2)
    await world.publish(2, TRADES)
    again, _ = welcomed(world, deflate=True)
    resume(again, token, ("orderbook", "AAPL", "e", 1), ("trades", "AAPL", "e", 1))
    assert again.heard() == ["resumed", "orderbook_update", "trade"]


# Principals


def test_a_principal_has_so_many_connections() -> None:
    """One that leaves makes room; others have their own."""
    world = SessionWorld(max_per_principal=2)
    first = world.enter("a", principal=ALICE)
    world.enter("b", principal=ALICE)
    world.registry.check_room(BOB)
    with pytest.raises(InvalidInput, match="alice has 2 connections already"):
        world.registry.check_room(ALICE)
    first.goodbye()
    world.registry.check_room(ALICE)


def test_places_are_compared_by_number_within_one_epoch() -> None:
    """A client can't be ahead of the server."""
    world = SessionWorld()
    first, token = welcomed(world)
    first.say("subscribe", symbol="AAPL", channel="trades")
    first.vanish()
    again, _ = welcomed(world)
    resume(again, token, ("trades", "AAPL", "e", 99))
    resumed = again.messages()[0]
    assert resumed["restored"][0]["seq"] is None


# What the reviews found


async def test_another_interval_loses_no_trade_and_repeats_none() -> None:
    """Whoever else sees the topic in that interval, and wherever that one stands."""
    world = SessionWorld()
    other, client = world.enter("other", v1=True), world.enter("me", v1=True)
    other.say("subscribe", symbol="AAPL", channel="trades", interval_ms=5000)
    await world.publish(1, TRADES)
    world.wait(6)
    await world.publish(2, TRADES)
    client.say("subscribe", symbol="AAPL", channel="trades", interval_ms=1000)
    sizes = []
    for size in range(3, 12):
        await world.publish(size, TRADES)
        sizes += client.trades()
    for interval in (5000, 0, 5000, 1000):
        client.say("subscribe", symbol="AAPL", channel="trades", interval_ms=interval)
        sizes += client.trades()
        await world.publish(sizes[-1] + 1000 if sizes else 1000, TRADES)
        world.wait(7)
        sizes += client.trades()
    seen = [one for one in sizes if one < 1000]
    assert seen == list(range(min(seen), 12))
    assert len(sizes) == len(set(sizes))


async def test_nobody_is_shown_an_older_book_than_the_client_has() -> None:
    """A view that others wait in may be behind."""
    world = SessionWorld()
    slow = Rights(min_interval_ms=20_000)
    world.enter("other", "AAPL", principal=Principal("jwt", "other", slow))
    me = world.enter("me", "AAPL", principal=ALICE)
    for size in range(1, 11):
        await world.publish(size)
    assert me.volumes()[-1] == ("AAPL", 10)
    me.vanish(read_all=True)
    again = world.enter("me", principal=Principal("jwt", "alice", slow))
    assert again.volumes() == []
    again.vanish()
    unsure = world.enter("me", principal=Principal("jwt", "alice", slow))
    assert unsure.volumes() in ([], [("AAPL", 10)])
    await world.publish(11)
    world.wait(21)
    assert unsure.volumes() == [("AAPL", 11)]


async def test_a_queue_of_all_begins_with_what_the_client_was_shown_first() -> None:
    """Not with what others had before."""
    world = SessionWorld(ConnectionRules(keeps_all=True))
    world.enter("other", "AAPL")
    for size in range(50):
        await world.publish(size)
    first = world.enter("me", "AAPL")
    assert first.volumes() == [("AAPL", 49)]
    first.vanish()
    await world.publish(50)
    assert world.enter("me", "AAPL").volumes() == [("AAPL", 49), ("AAPL", 50), ("AAPL", 50)]


async def test_who_becomes_somebody_else_leaves_no_trace_under_the_first_name() -> None:
    """Nor finds what belonged to it."""
    world = SessionWorld()
    for number in range(5):
        client = world.enter("me", "AAPL")
        client.session._take_principal(ALICE)
        client.session._entitle(ALICE, enter=True)
        assert client.session.id == (ALICE.id, "me")
        if number % 2:
            client.goodbye()
        else:
            client.vanish()
            world.enter("me", principal=ALICE).goodbye()
    assert (len(world.store), world.ownership._challenged) == (0, {})
    assert world.hub.topics() == {}


async def test_a_v1_client_of_the_same_id_has_no_part_in_a_challenge() -> None:
    """It is found by its token."""
    world = SessionWorld()
    owner = world.enter("me", "AAPL")
    newcomer = world.enter("me")
    other, _ = welcomed(world)
    other.say("subscribe", symbol="AAPL")
    other.vanish()
    world.wait(2)
    assert owner.ended == [CloseCode.HEARTBEAT_MISSED]
    assert newcomer.session.subscription_count == 1


def test_sessions_of_one_address_that_wait_are_bounded() -> None:
    """So that nobody takes the room of others."""
    world = SessionWorld(max_per_address=2)
    for client_id in ("a", "b", "c"):
        world.enter(client_id, "AAPL").vanish()
    assert (world.ownership.lost, world.ownership.expired) == (2, 1)


def test_too_many_symbols_in_an_address_are_an_error() -> None:
    """And nothing breaks."""
    world = SessionWorld()
    client = world.enter("me", *(f"S{number}" for number in range(1001)), v1=True)
    assert client.heard() == ["welcome", "error"]


def expires(world: SessionWorld, _peer: ClientTransport) -> None:
    world.wait(61)


def makes_room(world: SessionWorld, _peer: ClientTransport) -> None:
    world.enter("other", "A", "B", "C").vanish()


def comes_back(world: SessionWorld, _peer: ClientTransport) -> None:
    world.enter("me")


def comes_back_and_leaves(world: SessionWorld, _peer: ClientTransport) -> None:
    world.enter("me").goodbye()


@pytest.mark.parametrize(
    ("then", "wanted"),
    [
        (lambda _world, _peer: None, True),
        (expires, False),
        (makes_room, False),
        (comes_back, True),
        (comes_back_and_leaves, False),
    ],
)
def test_a_topic_is_wanted_as_long_as_its_lost_client_may_come_back(
    then: Callable[[SessionWorld, ClientTransport], None], wanted: bool
) -> None:
    """And given up at once after that: OpenD's quota is short."""
    world = SessionWorld(max_parked=3)
    peer = world.enter("me", "AAPL")
    peer.vanish()
    then(world, peer)
    assert (world.engine.want(AAPL) == "subscribed") is wanted


def test_a_topic_is_not_wanted_after_a_goodbye() -> None:
    """Nobody comes back."""
    world = SessionWorld()
    world.enter("me", "AAPL").goodbye()
    assert world.engine.want(AAPL) is None


def test_between_two_connections_of_a_client_its_topic_is_wanted_all_the_time() -> None:
    """The new connection wants it before the old session lets go."""
    world = SessionWorld()
    told: list[tuple[str, Topic]] = []
    world.engine.attach(
        notice=world.hub.notice,
        wanted=lambda topic: told.append(("wanted", topic)),
        unwanted=lambda topic: told.append(("unwanted", topic)),
    )
    first, token = welcomed(world)
    first.say("subscribe", symbol="AAPL")
    first.vanish()
    again, _ = welcomed(world)
    resume(again, token, ("orderbook", "AAPL", "e", 1))
    assert told == [("wanted", AAPL)]
    again.goodbye()
    assert told == [("wanted", AAPL), ("unwanted", AAPL)]
