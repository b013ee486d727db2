import json

from hypothesis import given
from hypothesis import strategies as st

from bookcast.hub.view_spec import ViewSpec
from bookcast.model.topics import Topic
from bookcast.model.updates import Position
from bookcast.protocol.actions import Action, Send, Subscribe, Unsubscribe
from bookcast.protocol.base import messages
from bookcast.protocol.base.connection import BaseConnection
from bookcast.protocol.subscriptions import ConnectionRules
from tests.support import AAPL


def connection(max_subscriptions: int = 256) -> BaseConnection:
    return BaseConnection(ConnectionRules(max_subscriptions=max_subscriptions))


def say(client: BaseConnection, action: str, symbol: str | None = None) -> list[Action]:
    return client.receive(json.dumps({"action": action, "symbol": symbol}))


SHORT, LONG = ViewSpec("base", "AAPL"), ViewSpec("base", "US.AAPL")


def test_a_subscription_is_confirmed_and_shown() -> None:
    """Under the client's spelling, whatever the position."""
    [show] = say(connection(), "subscribe", "AAPL")
    assert isinstance(show, Subscribe)
    assert (show.topic, show.spec, show.history) == (AAPL, SHORT, 0)
    assert show.confirm is not None
    for place in (None, Position("e", 5)):
        assert show.confirm(place) == messages.SubscriptionConfirmed("AAPL")


def test_a_client_that_takes_compressed_messages_shares_a_view_with_its_like() -> None:
    """What they are shown is the same otherwise."""
    client = BaseConnection(ConnectionRules(max_subscriptions=1), deflate=True)
    [show] = say(client, "subscribe", "AAPL")
    assert isinstance(show, Subscribe)
    assert show.spec == SHORT._replace(deflate=True)


def test_a_connection_can_begin_with_subscriptions() -> None:
    """A bad one is an error among them."""
    first, error, last = connection().open(["AAPL", "x" * 65, "TSLA"])
    assert isinstance(first, Subscribe)
    assert isinstance(error, Send)
    assert isinstance(last, Subscribe)


def test_nothing_is_shown_after_the_confirmation_of_an_unsubscription() -> None:
    """The hub is told first."""
    client = connection()
    say(client, "subscribe", "AAPL")
    confirmed = Send(messages.UnsubscriptionConfirmed("US.AAPL"))
    assert say(client, "unsubscribe", "US.AAPL") == [Unsubscribe(AAPL), confirmed]
    assert say(client, "unsubscribe", "US.AAPL") == [Unsubscribe(AAPL), confirmed]


def test_subscribing_again_under_another_spelling_replaces_the_view() -> None:
    """One view per topic and connection."""
    client = connection()
    say(client, "subscribe", "AAPL")
    [show] = say(client, "subscribe", "US.AAPL")
    assert isinstance(show, Subscribe)
    assert show.spec == LONG
    assert client.subscriptions == {AAPL: LONG}


def test_a_ping_is_answered() -> None:
    """With a pong and nothing else."""
    assert say(connection(), "ping") == [Send(messages.Pong())]


def test_the_limit_of_subscriptions_is_told_and_frees_up() -> None:
    """What is subscribed already may be again; leaving one makes room."""
    client = connection(max_subscriptions=1)
    say(client, "subscribe", "AAPL")
    [refusal] = say(client, "subscribe", "TSLA")
    assert isinstance(refusal, Send)
    assert isinstance(refusal.message, messages.ErrorMessage)
    assert "1 subscriptions" in refusal.message.message
    assert isinstance(say(client, "subscribe", "AAPL")[0], Subscribe)
    say(client, "unsubscribe", "AAPL")
    assert isinstance(say(client, "subscribe", "TSLA")[0], Subscribe)


def test_closing_hides_everything() -> None:
    """The hub is told of each topic once."""
    client = connection()
    say(client, "subscribe", "AAPL")
    assert client.close() == [Unsubscribe(AAPL)]
    assert client.close() == []


texts = st.sampled_from(["AAPL", "US.AAPL", "TSLA", "", "x" * 65])
scripts = st.lists(st.tuples(st.sampled_from(["subscribe", "unsubscribe", "ping"]), texts))


@given(scripts)
def test_what_is_shown_is_what_was_subscribed(script: list[tuple[str, str]]) -> None:
    """Each command gets exactly one answer, and the hub's views follow the subscriptions."""
    client = connection(max_subscriptions=2)
    shown: dict[Topic, ViewSpec] = {}
    for action, symbol in script:
        answers = 0
        for step in say(client, action, symbol):
            match step:
                case Send():
                    answers += 1
                case Subscribe(topic, spec):
                    answers += 1
                    shown[topic] = spec
                case Unsubscribe(topic):
                    shown.pop(topic, None)
        assert answers == 1
    assert shown == client.subscriptions
