from typing import Any

import pytest

from bookcast.auth.principal import Rights
from bookcast.errors import InvalidInput
from bookcast.hub.placement import Placement
from bookcast.hub.view_spec import ViewSpec
from bookcast.model.cursor import Cursor
from bookcast.model.updates import Position
from bookcast.protocol.actions import Restore
from bookcast.protocol.subscriptions import ConnectionRules, SavedSubscriptions
from bookcast.protocol.v1 import messages as v1
from bookcast.protocol.v1.connection import V1Connection
from bookcast.protocol.v1.resumption import resume
from tests.support import AAPL, CANDLES, TRADES, update

FULL, DELTA = ViewSpec("v1", "AAPL"), ViewSpec("v1", "AAPL", delta=True)


def connection(rights: Rights | None = None, **options: Any) -> V1Connection:
    return V1Connection(
        ConnectionRules(),
        client_id="me",
        session="new",
        heartbeat_ms=1000,
        now=lambda: 0.0,
        rights=rights or Rights(),
        **{"deflate": False, **options},
    )


def held(channel: str, seq: int, symbol: str = "AAPL", **rest: Any) -> v1.HeldPosition:
    return v1.HeldPosition(channel, symbol, "e", seq, **rest)


def restored(
    client: V1Connection, parked: SavedSubscriptions, *positions: v1.HeldPosition
) -> tuple[Restore, v1.Resumed]:
    """Return the restored subscriptions, and the answer if all of them recover."""
    asked = resume(client.subscriptions, client.session, v1.Resume("token", list(positions), 5))
    assert asked.token == "token"
    [action] = asked.restore(parked)
    assert isinstance(action, Restore)
    assert action.answer is not None
    answer = action.answer([Placement(Position("e", 9), recovered=True)] * len(action.restored))
    assert isinstance(answer, v1.Resumed)
    return action, answer


def test_each_subscription_goes_on_from_the_clients_own_position() -> None:
    """Of what it names none of, nothing is known."""
    client = connection()
    parked = {TRADES: (FULL, Cursor.at(update(5, TRADES))), CANDLES: (FULL, None)}
    action, answer = restored(client, parked, held("trades", 3))
    assert action.restored == [(TRADES, FULL, Cursor(Position("e", 3))), (CANDLES, FULL, None)]
    assert (answer.id, answer.session, answer.refused) == (5, "new", [])
    assert [(one.channel, one.period) for one in answer.restored][1] == ("candles", "1m")
    assert set(client.subscriptions) == {TRADES, CANDLES}


def test_only_where_both_agree_is_the_clients_book_known() -> None:
    """Then a delta may lead on from it."""
    newest = Cursor.at(update(5))
    for place, spec, last in (
        (held("orderbook", 5), DELTA, newest),
        (held("orderbook", 4), DELTA, Cursor(Position("e", 4))),
        (v1.HeldPosition("orderbook", "AAPL", "f", 5), DELTA, Cursor(Position("f", 5))),
    ):
        action, _ = restored(connection(), {AAPL: (spec, newest)}, place)
        assert action.restored == [(AAPL, spec, last)]
    narrowed = connection(Rights(max_depth=1))
    action, _ = restored(narrowed, {AAPL: (DELTA, newest)}, held("orderbook", 5))
    assert action.restored == [(AAPL, DELTA._replace(depth=1), None)]


def test_what_does_not_go_on_is_refused_by_itself() -> None:
    """Lost rights, what was never subscribed, and what can't be."""
    client = connection(Rights(channels=frozenset({"trades"})))
    parked = {TRADES: (FULL, None), AAPL: (FULL, None)}
    _, answer = restored(client, parked, held("gossip", 1), held("trades", 1, "TSLA"))
    assert [(one.channel, one.symbol, one.code) for one in answer.refused] == [
        ("gossip", "AAPL", "unknown_channel"),
        ("orderbook", "AAPL", "forbidden"),
        ("trades", "TSLA", "not_subscribed"),
    ]
    assert set(client.subscriptions) == {TRADES}


def test_it_may_not_be_endless() -> None:
    """As many positions as there may be subscriptions."""
    client = connection()
    with pytest.raises(InvalidInput, match="at most 1000"):
        resume(client.subscriptions, client.session, v1.Resume("token", [held("trades", 1)] * 1001))


def test_a_position_that_cant_be_read_is_refused_by_itself() -> None:
    """The others go on; the answer says what is wrong with it."""
    client = connection()
    fault = InvalidInput("invalid_message", "positions[0].seq: expected").about("trades", "TSLA")
    asked = resume(
        client.subscriptions, client.session, v1.Resume("token", [held("trades", 3)]), [fault]
    )
    [action] = asked.restore({TRADES: (FULL, None)})
    assert isinstance(action, Restore)
    assert action.answer is not None
    answer = action.answer([Placement(Position("e", 3), recovered=True)])
    assert isinstance(answer, v1.Resumed)
    assert [one.recovered for one in answer.restored] == [True]
    [refused] = answer.refused
    assert (refused.channel, refused.symbol, refused.code) == ("trades", "TSLA", "invalid_message")
    assert refused.message == "positions[0].seq: expected"
