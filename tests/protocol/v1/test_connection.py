import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.hub.counts import DeliveryCounts
from bookcast.hub.hub import DeliveryReport
from bookcast.hub.status import Status
from bookcast.hub.view_spec import ViewSpec
from bookcast.model.topics import Topic
from bookcast.model.updates import Position
from bookcast.protocol.actions import (
    Action,
    Explain,
    Publish,
    Resync,
    Send,
    Subscribe,
    Unsubscribe,
)
from bookcast.protocol.subscriptions import ConnectionRules
from bookcast.protocol.v1.connection import V1Connection
from tests.support import AAPL, CANDLES, TRADES, TSLA


def connection(max_subscriptions: int = 256, *, deflate: bool = False) -> V1Connection:
    return V1Connection(
        ConnectionRules(max_subscriptions=max_subscriptions),
        client_id="me",
        session="token",
        deflate=deflate,
        heartbeat_ms=10_000,
        now=lambda: 1.5,
    )


def say(client: V1Connection, action: str, **fields: object) -> Sequence[Action]:
    return client.receive(json.dumps({"action": action, **fields}))


def wire(message: msgspec.Struct) -> Any:
    return json.loads(msgspec.json.encode(message))


def told(actions: Sequence[Action]) -> list[Any]:
    """Give what the client is told, with the positions that a hub would give."""
    heard = []
    for action in actions:
        match action:
            case Send(message):
                heard.append(wire(message))
            case Subscribe(confirm=confirm):
                assert confirm is not None
                heard.append(wire(confirm(Position("e", 7))))
    return heard


def test_a_connection_opens_with_a_welcome() -> None:
    """Then the symbols of its address, as if it had asked for them."""
    welcome, confirmed, error = told(
        [*(client := connection()).welcome(), *client.open(["AAPL", "x" * 65])]
    )
    assert welcome == {
        "type": "welcome",
        "protocol": "bookcast.v1",
        "client_id": "me",
        "session": "token",
        "heartbeat_ms": 10_000,
        "server_time": 1500.0,
    }
    assert (confirmed["type"], error["type"]) == ("subscription_confirmed", "error")
    assert connection().open([]) == []


def test_a_subscription_is_confirmed_with_its_view_and_place() -> None:
    """Everything that was asked for, the id included."""
    client = connection(deflate=True)
    actions = say(client, "subscribe", id=5, symbol="AAPL", depth=10, mode="delta", interval_ms=250)
    [show] = actions
    assert isinstance(show, Subscribe)
    assert (show.topic, show.spec) == (AAPL, ViewSpec("v1", "AAPL", 10, True, 250, True))
    assert told(actions) == [
        {
            "type": "subscription_confirmed",
            "id": 5,
            "channel": "orderbook",
            "symbol": "AAPL",
            "view": {"depth": 10, "mode": "delta", "interval_ms": 250},
            "epoch": "e",
            "seq": 7,
        }
    ]
    assert show.confirm is not None
    nothing_known = wire(show.confirm(None))
    assert (nothing_known["epoch"], nothing_known["seq"]) == (None, None)


def test_symbols_of_a_batch_go_well_or_wrong_each_by_itself() -> None:
    """One answer each, in order, a repeated one once; all with the id."""
    answers = told(say(connection(), "subscribe", id="b", symbols=["AAPL", "", "TSLA", "AAPL"]))
    assert [(answer["type"], answer["symbol"], answer["id"]) for answer in answers] == [
        ("subscription_confirmed", "AAPL", "b"),
        ("error", "", "b"),
        ("subscription_confirmed", "TSLA", "b"),
    ]


def test_candles_have_a_period_and_may_have_a_history() -> None:
    """Each period is a topic of its own."""
    client = connection()
    actions = say(client, "subscribe", symbol="AAPL", channel="candles", period="1m", history=20)
    [show] = actions
    assert isinstance(show, Subscribe)
    assert (show.topic, show.history) == (CANDLES, 20)
    assert told(actions)[0]["period"] == "1m"
    say(client, "subscribe", symbol="AAPL", channel="candles", period="1d")
    assert len(client.subscriptions) == 2
    [confirmed] = told(say(client, "unsubscribe", symbol="AAPL", channel="candles", period="1d"))
    assert confirmed["period"] == "1d"


@pytest.mark.parametrize(
    ("fields", "code", "sentence"),
    [
        ({}, "invalid_message", "either 'symbol' or a list of 'symbols'"),
        ({"symbol": "A", "symbols": ["B"]}, "invalid_message", "either 'symbol' or a list"),
        ({"symbols": []}, "invalid_message", "the list is empty"),
        ({"symbols": ["A"] * 1001}, "invalid_message", "symbols: at most 1000 at once, not 1001"),
        ({"symbol": 5}, "invalid_message", "symbol: expected text, got a whole number"),
        ({"symbol": "A", "channel": "books"}, "unknown_channel", "there are orderbook, quote"),
        ({"symbol": "A", "depth": 0}, "invalid_message", "depth: expected"),
        ({"symbol": "A", "depth": 1.5}, "invalid_message", "depth: expected a whole number"),
        (
            {"symbol": "A", "mode": "diff"},
            "invalid_message",
            "mode: 'diff' isn't one of full, delta",
        ),
        ({"symbol": "A", "interval_ms": -1}, "invalid_message", "interval_ms: expected"),
        ({"symbol": "A", "interval_ms": 10**9}, "invalid_message", "interval_ms: expected"),
        ({"symbol": "A", "channel": "candles"}, "invalid_message", "period is missing; it is one"),
        (
            {"symbol": "A", "channel": "candles", "period": "7m"},
            "invalid_message",
            "period can't be '7m'",
        ),
        ({"symbol": "A", "period": "1m"}, "invalid_message", "period: only candles have one"),
        ({"symbol": "A", "history": 5}, "invalid_message", "history: only trades and candles"),
        (
            {"symbol": "A", "channel": "quote", "mode": "delta"},
            "invalid_message",
            "mode: only order books have it, not quote",
        ),
        (
            {"symbol": "A", "channel": "trades", "depth": 5},
            "invalid_message",
            "depth: only order books have it, not trades",
        ),
    ],
)
def test_a_subscription_that_cannot_be_is_refused_in_a_sentence(
    fields: dict[str, Any], code: str, sentence: str
) -> None:
    """With a code for programs, and the id; nothing is shown."""
    client = connection()
    [error] = told(say(client, "subscribe", id=1, **fields))
    assert (error["type"], error["id"], error["code"]) == ("error", 1, code)
    assert sentence in error["message"]
    assert client.subscriptions == {}


@pytest.mark.parametrize(
    ("text", "code", "id_"),
    [
        ("{", "invalid_json", None),
        ("[]", "invalid_message", None),
        ('{"id":7}', "invalid_message", 7),
        ('{"action":"dance","id":"x"}', "unknown_action", "x"),
        ('{"action":5,"id":"x"}', "invalid_message", "x"),
        ('{"action":"ping","id":[]}', "invalid_message", None),
        ('{"action":"ping","id":"' + "x" * 129 + '"}', "invalid_message", None),
        ('{"action":"ping","id":1180591620717411303424}', "invalid_message", None),
        ('{"action":"publish","id":4,"data":{"last":NaN}}', "invalid_message", 4),
        ('{"action":"resume","session":"s","positions":7,"id":2}', "invalid_message", 2),
        ('{"action":"authenticate","token":7,"id":2}', "invalid_message", 2),
        ('{"action":"resync","symbol":"AAPL","id":2}', "not_subscribed", 2),
        ('{"action":"why","symbol":"AAPL","channel":"x","id":2}', "unknown_channel", 2),
        ('{"action":"unsubscribe","symbol":"","id":2}', "invalid_symbol", 2),
    ],
)
def test_a_bad_command_is_answered_with_a_code(text: str, code: str, id_: object) -> None:
    """And the id, wherever it can be read."""
    [error] = told(connection().receive(text))
    assert (error["type"], error["code"], error.get("id")) == ("error", code, id_)


def test_errors_name_what_they_are_about() -> None:
    """Channel and symbol, as the client wrote them."""
    [error] = told(say(connection(), "resync", symbol="AAPL", channel="trades"))
    assert (error["channel"], error["symbol"]) == ("trades", "AAPL")


@pytest.mark.parametrize(
    ("fields", "channel", "words"),
    [
        ({"mode": "deltas"}, "orderbook", "full, delta"),
        ({"mode": None, "channel": "quote"}, "quote", "full, delta"),
        ({"channel": "tardes"}, "tardes", "orderbook, quote, trades"),
        ({"channel": 5}, None, "orderbook, quote, trades"),
        ({"channel": "candles", "period": "7m"}, "candles", "1m, 3m, 5m"),
        ({"channel": "candles", "period": 1}, "candles", "1m, 3m, 5m"),
        ({"variant": "even"}, "orderbook", "odd"),
    ],
)
def test_a_wrong_word_is_answered_with_the_allowed_ones(
    fields: dict[str, object], channel: str | None, words: str
) -> None:
    """For each symbol, with the channel and the id."""
    answers = told(say(connection(), "subscribe", symbols=["AAPL", "TSLA"], id=3, **fields))
    assert [(one["type"], one["symbol"], one["id"]) for one in answers] == [
        ("error", "AAPL", 3),
        ("error", "TSLA", 3),
    ]
    assert {one.get("channel") for one in answers} == {channel}
    assert all(words in one["message"] for one in answers)


@pytest.mark.parametrize(
    "fields",
    [
        {"channel": "x" * 60_000},
        {"mode": "x" * 60_000},
        {"channel": "candles", "period": "x" * 60_000},
        {"symbols": ["x" * 60_000]},
        {"symbols": [["x" * 60_000]]},
    ],
)
def test_what_is_wrong_is_quoted_no_further_than_a_person_reads(fields: dict[str, Any]) -> None:
    """A short question must not make an endless answer."""
    actions = say(connection(), "subscribe", **{"symbols": ["AAPL", "TSLA"], **fields})
    assert all(len(json.dumps(one)) < 500 for one in told(actions))
    [error] = told(connection().receive(json.dumps({"action": "x" * 60_000})))
    assert len(error["message"]) < 300


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe"])
def test_a_symbol_that_isnt_text_names_itself_and_spoils_no_other(action: str) -> None:
    """By its place and value; the others are answered as ever, in order."""
    symbols = ["AAPL", 5, {"a": []}, " TSLA", None, 5, "TSLA", True]
    answers = told(say(connection(), action, symbols=symbols, id=1))
    assert [answer.get("symbol") for answer in answers if "confirmed" in answer["type"]] == [
        "AAPL",
        "TSLA",
    ]
    wrong = [answer["message"] for answer in answers if answer["type"] == "error"]
    assert wrong == [
        "symbols[1]: a symbol is text, not 5",
        'symbols[2]: a symbol is text, not {"a":[]}',
        "' TSLA' is no symbol: that is printable characters with no space around them",
        "symbols[4]: a symbol is text, not null",
        "symbols[5]: a symbol is text, not 5",
        "symbols[7]: a symbol is text, not true",
    ]
    assert {answer["id"] for answer in answers} == {1}


def test_the_limit_of_subscriptions_counts_topics() -> None:
    """Another view of the same topic takes no more room."""
    client = connection(max_subscriptions=1)
    say(client, "subscribe", symbol="AAPL")
    [error] = told(say(client, "subscribe", symbol="AAPL", channel="trades"))
    assert error["code"] == "too_many_subscriptions"
    [show] = say(client, "subscribe", symbol="US.AAPL", mode="delta")
    assert isinstance(show, Subscribe)
    assert client.subscriptions == {AAPL: ViewSpec("v1", "US.AAPL", delta=True)}


def test_unsubscribing_is_confirmed_whether_subscribed_or_not() -> None:
    """The hub is told first, and only of what was shown."""
    client = connection()
    say(client, "subscribe", symbol="AAPL")
    actions = say(client, "unsubscribe", symbols=["AAPL", "TSLA"], id=1)
    assert [type(action) for action in actions] == [Unsubscribe, Send, Send]
    assert [(answer["type"], answer["symbol"]) for answer in told(actions)] == [
        ("unsubscription_confirmed", "AAPL"),
        ("unsubscription_confirmed", "TSLA"),
    ]


def test_a_client_can_list_what_it_sees() -> None:
    """Each with its view, as it was asked for."""
    client = connection()
    say(client, "subscribe", symbol="AAPL", mode="delta", depth=5)
    say(client, "subscribe", symbol="AAPL", channel="candles", period="1m")
    [answer] = told(say(client, "list", id=0))
    assert answer == {
        "type": "list",
        "id": 0,
        "subscriptions": [
            {
                "channel": "orderbook",
                "symbol": "AAPL",
                "view": {"depth": 5, "mode": "delta", "interval_ms": 0},
            },
            {
                "channel": "candles",
                "symbol": "AAPL",
                "period": "1m",
                "view": {"depth": None, "mode": "full", "interval_ms": 0},
            },
        ],
    }


def test_a_ping_is_answered_with_the_time() -> None:
    """And its id, which may be null."""
    assert told(say(connection(), "ping", id=None)) == [
        {"type": "pong", "id": None, "server_time": 1500.0}
    ]
    assert wire(connection().heartbeat()) == {"type": "heartbeat", "server_time": 1500.0}


def test_resync_is_about_a_subscription() -> None:
    """The session shows the whole state again."""
    client = connection()
    say(client, "subscribe", symbol="AAPL")
    assert say(client, "resync", symbol="US.AAPL") == [Resync(AAPL)]


@pytest.mark.parametrize(
    ("held", "interval_ms", "limited_by"),
    [(False, 0, "none"), (False, 100, "interval"), (True, 100, "slow")],
)
def test_why_tells_what_became_of_the_updates_and_what_limits_them(
    held: bool, interval_ms: int, limited_by: str
) -> None:
    """Whatever wasn't sent, told lost, unchanged or waiting was conflated."""
    client = connection()
    say(client, "subscribe", symbol="AAPL", channel="trades")
    [explain] = say(client, "why", symbol="AAPL", channel="trades", id=9)
    assert isinstance(explain, Explain)
    assert explain.topic == TRADES
    word = DeliveryReport(
        tally=DeliveryCounts(received=24, sent=10, gapped=3, unchanged=2),
        queued=5,
        lagging=held,
        view=ViewSpec("v1", "AAPL", interval_ms=interval_ms),
        status=Status("live"),
        last_update_ms=5.0,
    )
    assert wire(explain.answer(word)) == {
        "type": "why",
        "id": 9,
        "channel": "trades",
        "symbol": "AAPL",
        "received": 24,
        "sent": 10,
        "conflated": 4,
        "queued": 5,
        "gapped": 3,
        "unchanged": 2,
        "state": "live",
        "limited_by": limited_by,
        "last_update_ms": 5.0,
    }


def test_a_publication_is_handed_on_as_it_came() -> None:
    """Whoever publishes it finds its answers here."""
    [publish] = connection().receive(
        '{"action":"publish","channel":"quote","symbol":"AAPL","data":{"last": 1.50},"id":3}'
    )
    assert isinstance(publish, Publish)
    assert bytes(publish.update.data) == b'{"last": 1.50}'
    assert wire(publish.answer(Position("e", 4))) == {
        "type": "published",
        "id": 3,
        "channel": "quote",
        "symbol": "AAPL",
        "epoch": "e",
        "seq": 4,
    }


def test_closing_hides_everything() -> None:
    """The hub is told of each topic once."""
    client = connection()
    say(client, "subscribe", symbols=["AAPL", "TSLA"])
    assert client.close() == [Unsubscribe(AAPL), Unsubscribe(TSLA)]
    assert client.close() == []


commands = st.fixed_dictionaries(
    {"action": st.sampled_from(["subscribe", "unsubscribe", "list", "ping", "why", "resync"])},
    optional={
        "symbol": st.sampled_from(["AAPL", "US.AAPL", "TSLA", "", "x" * 65, 5]),
        "symbols": st.lists(st.sampled_from(["AAPL", "TSLA", ""]), max_size=3),
        "channel": st.sampled_from(["orderbook", "trades", "candles", "quote", "x"]),
        "period": st.sampled_from(["1m", "x", None]),
        "mode": st.sampled_from(["full", "delta", "x"]),
        "depth": st.sampled_from([None, 1, 0, "x"]),
        "history": st.sampled_from([0, 5, -1]),
        "id": st.sampled_from([1, "a", None, 1.5, {}]),
    },
)


@given(st.lists(commands))
def test_what_is_shown_is_what_was_subscribed(script: list[dict[str, Any]]) -> None:
    """Whatever is said is answered, and the hub's views follow the subscriptions."""
    client = connection(max_subscriptions=2)
    views: dict[Topic, ViewSpec] = {}
    for command in script:
        actions = client.receive(json.dumps(command))
        assert actions
        for action in actions:
            match action:
                case Subscribe(topic, spec):
                    views[topic] = spec
                case Unsubscribe(topic):
                    del views[topic]
                case Resync(topic) | Explain(topic):
                    assert topic in views
    assert views == client.subscriptions


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_bytes_are_answered(data: bytes) -> None:
    """Nothing is ever raised."""
    assert connection().receive(data)
