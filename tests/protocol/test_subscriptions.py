import pytest

from bookcast.auth.principal import Rights
from bookcast.errors import InvalidInput
from bookcast.hub.view_spec import ViewSpec
from bookcast.protocol.actions import Unsubscribe
from bookcast.protocol.subscriptions import ConnectionRules, Subscriptions
from tests.support import AAPL, TRADES, TSLA

BOOK = ViewSpec("v1", "AAPL")


def subscriptions(rights: Rights | None = None, most: int = 256) -> Subscriptions:
    return Subscriptions(ConnectionRules(max_subscriptions=most), rights or Rights(), deflate=False)


def test_a_view_is_what_was_asked_for_as_far_as_rights_go() -> None:
    """Fewer levels and longer intervals than the rights' are the client's own choice."""
    seen = subscriptions(Rights(max_depth=10, min_interval_ms=500))
    assert seen.open(AAPL, BOOK) == BOOK._replace(depth=10, interval_ms=500)
    asked = BOOK._replace(depth=5, interval_ms=1000)
    assert seen.open(AAPL, asked) == asked
    assert seen == {AAPL: asked}
    assert seen.open(TRADES, BOOK) == BOOK._replace(interval_ms=500)  # trades have no levels


def test_every_book_is_shown_only_where_no_interval_leaves_some_out() -> None:
    """An interval by the client's rights is one too."""
    lossless = ViewSpec("base", "AAPL", lossless=True)
    assert subscriptions().open(AAPL, lossless).lossless
    assert not subscriptions(Rights(min_interval_ms=1)).open(AAPL, lossless).lossless


def test_equal_views_of_many_clients_are_one_object() -> None:
    """However each of them spelled the rest of its message."""
    one, other = subscriptions(), subscriptions(Rights(max_depth=10))
    view = one.open(AAPL, ViewSpec("v1", "AAPL", 10))
    assert other.open(AAPL, ViewSpec("v1", "AAPL")) is view


def test_a_symbol_is_of_the_default_market_where_it_names_none() -> None:
    """What can't be a topic is refused."""
    seen = subscriptions()
    assert seen.topic("AAPL") == seen.topic("US.AAPL") == AAPL
    assert seen.topic("AAPL", "trades") == TRADES
    with pytest.raises(InvalidInput, match="channel"):
        seen.topic("AAPL", "books")


@pytest.mark.parametrize("rights", [Rights(), Rights(max_subscriptions=1)])
def test_only_so_many_topics_may_be_seen_at_once(rights: Rights) -> None:
    """The server's limit and the client's own both hold; what is seen already stays so."""
    seen = subscriptions(rights, most=1 if rights.max_subscriptions is None else 256)
    seen.open(AAPL, BOOK)
    seen.open(AAPL, BOOK._replace(depth=1))
    with pytest.raises(InvalidInput, match="has its 1 subscriptions already"):
        seen.open(TSLA, BOOK)
    assert list(seen) == [AAPL]


def test_other_rights_change_views_or_end_them() -> None:
    """What they don't touch isn't told."""
    seen = subscriptions()
    shallow = seen.open(TSLA, BOOK._replace(depth=5))
    deep, trades = seen.open(AAPL, BOOK), seen.open(TRADES, BOOK)
    rights = Rights(max_depth=10, channels=frozenset({"orderbook"}))
    changes = {topic: rest for topic, *rest in seen.entitle(rights, lambda view: view)}
    assert changes.pop(AAPL) == [deep, deep._replace(depth=10)]
    [before, reason] = changes.pop(TRADES)
    assert before == trades
    assert isinstance(reason, InvalidInput)
    assert reason.code == "forbidden"
    assert changes == {}
    assert seen == {TSLA: shallow, AAPL: deep._replace(depth=10)}
    assert seen.rights is rights


def test_closing_ends_all_of_it_once() -> None:
    """The hub is told of each topic."""
    seen = subscriptions()
    seen.open(AAPL, BOOK)
    seen.open(TRADES, BOOK)
    assert seen.close() == [Unsubscribe(AAPL), Unsubscribe(TRADES)]
    assert seen.close() == []
