import json
from typing import Any

import msgspec
import pytest

from bookcast.errors import InvalidInput
from bookcast.hub.counts import DeliveryCounts
from bookcast.hub.hub import DeliveryReport
from bookcast.hub.placement import Placement
from bookcast.hub.status import Status
from bookcast.hub.view_spec import ViewSpec
from bookcast.model.updates import Position
from bookcast.protocol.actions import (
    Action,
    Authenticate,
    Explain,
    Publish,
    Restore,
    Resume,
    Resync,
    Send,
    Subscribe,
    Unsubscribe,
)
from bookcast.protocol.base.connection import Charge, no_charge
from bookcast.protocol.subscriptions import ConnectionRules
from bookcast.protocol.v1 import messages as v1
from bookcast.protocol.v1.connection import V1Connection
from bookcast.protocol.v1.ignored import name_ignored
from tests.support import TRADES

PLACE = Position("e", 7)
FAULT = InvalidInput("invalid_data", "no")


def client(charge: Charge = no_charge) -> V1Connection:
    return V1Connection(
        ConnectionRules(takes_tokens=True),
        client_id="me",
        session="s",
        deflate=False,
        heartbeat_ms=1000,
        now=lambda: 0.0,
        charge=charge,
    )


def answers(action: Action) -> list[msgspec.Struct]:  # noqa: PLR0911 - one for each kind
    """Return all that an action may say to the client."""
    match action:
        case Send(message):
            return [message]
        case Subscribe(confirm=confirm) if confirm is not None:
            return [confirm(PLACE)]
        case Explain(answer=answer):
            word = DeliveryReport(
                DeliveryCounts(), 0, False, ViewSpec("v1", "A"), Status("live"), None
            )
            return [answer(word)]
        case Publish(answer=answer, refuse=refuse):
            return [answer(PLACE), refuse(FAULT)]
        case Authenticate(answer=told, refuse=refuse):
            return [told(None), refuse(FAULT)]
        case Restore(answer=restored) if restored is not None:
            return [restored([Placement(PLACE, recovered=True)])]
        case Resume(restore=restore, refuse=refuse):
            [going_on] = restore({TRADES: (ViewSpec("v1", "AAPL"), None)})
            return [*answers(going_on), refuse(FAULT)]
        case _:
            return []


@pytest.mark.parametrize(
    ("said", "kinds"),
    [
        ({"action": "subscribe", "symbols": ["A", "B"]}, ["subscription_confirmed"] * 2),
        ({"action": "subscribe", "symbols": ["A", 5]}, ["subscription_confirmed", "error"]),
        ({"action": "unsubscribe", "symbol": "A"}, ["unsubscription_confirmed"]),
        ({"action": "subscribe", "symbl": "A"}, ["error"]),
        ({"action": "subscribe", "symbols": ["A", "B"], "mode": "x"}, ["error"] * 2),
        ({"action": "list"}, ["list"]),
        ({"action": "ping"}, ["pong"]),
        ({"action": "authenticate", "token": "t"}, ["authenticated", "error"]),
        (
            {"action": "publish", "channel": "quote", "symbol": "A", "data": {}},
            ["published", "error"],
        ),
        ({"action": "resume", "session": "s"}, ["resumed", "error"]),
        ({"action": "why", "symbol": "Z"}, ["error"]),
    ],
)
def test_every_answer_names_what_was_ignored(said: dict[str, Any], kinds: list[str]) -> None:
    """Of a message without unknown fields, none says anything of it."""
    unknown = dict.fromkeys(("dept", "Mode"), 1)
    for fields in (said, said | unknown):
        ignored = [name for name in fields if name in {"dept", "Mode", "symbl"}]
        heard = [one for action in client().receive(json.dumps(fields)) for one in answers(action)]
        told = [json.loads(msgspec.json.encode(one)) for one in heard]
        assert [one["type"] for one in told] == kinds
        assert [one.get("ignored", []) for one in told] == [ignored] * len(told)


def test_what_is_past_the_rate_names_it_as_well() -> None:
    """Whether it could be read or not."""
    refusal = InvalidInput("rate_limited", "Too many")
    connection = client(lambda _publication: refusal)
    for text in ('{"action":"ping","x":1}', '{"action":"ping","x":1,"id":{}}'):
        [action] = connection.receive(text)
        [answer] = answers(action)
        assert isinstance(answer, v1.ErrorMessage)
        assert (answer.code, answer.ignored) == ("rate_limited", ["x"])


def test_why_names_it_as_well() -> None:
    """Of a topic that is subscribed."""
    connection = client()
    connection.receive('{"action":"subscribe","symbol":"A"}')
    [action] = connection.receive('{"action":"why","symbol":"A","depth":5}')
    [answer] = answers(action)
    assert isinstance(answer, v1.WhyMessage)
    assert answer.ignored == ["depth"]


def test_what_says_nothing_stays_as_it_is() -> None:
    """There is no answer that could name anything."""
    silent: list[Action] = [Unsubscribe(TRADES), Resync(TRADES), Send(v1.Heartbeat(1.0))]
    silent.append(Subscribe(TRADES, ViewSpec("v1", "A"), None))
    assert name_ignored(silent, ["x"]) == silent


def test_a_publication_names_what_is_ignored_of_its_data() -> None:
    """After what is ignored of the message."""
    text = '{"action":"publish","channel":"quote","symbol":"A","data":{"last":1,"lst":2},"x":1}'
    [action] = client().receive(text)
    published, _ = answers(action)
    assert isinstance(published, v1.PublishedMessage)
    assert published.ignored == ["x", "data.lst"]
