"""Tokens and rights: a history in which a client is shown too much, or sent away, is caught."""

from __future__ import annotations

import pytest

from tests.history.rights import EXPIRED, REFUSED
from tests.history.story import BOOKS, TRADES, Listener, Story

OTHER = "trades:P1"
LONG = 20.0


@pytest.fixture
def story() -> Story:
    """Begin a history of nodes that ask for tokens."""
    return Story("auth")


def client(
    story: Story, *, seconds: float = LONG, symbols: str = "", base: bool = False
) -> Listener:
    """Return a client whose token allows some symbols and is valid for `seconds`."""
    one = story.client(BOOKS if base else TRADES, base=base)
    one.happens("token", seconds=story.now + seconds, detail=symbols)
    if not base:
        one.confirmed(TRADES)
    return one


def renew(story: Story, one: Listener, symbols: str = "") -> None:
    """Make a client send another token, which the server accepts."""
    one.happens("renewed", seconds=story.now + LONG, detail=symbols)
    one.hears("authenticated", TRADES)


def test_a_client_that_renews_its_token_goes_on(story: Story) -> None:
    """It was told in time."""
    one = client(story)
    story.now += LONG - 2
    one.hears("token_expiring", TRADES)
    renew(story, one)
    story.now += LONG - 2
    story.published(TRADES, 1)
    one.trades(1)
    assert story.kinds() == []


def test_what_is_shown_before_a_token_is_caught(story: Story) -> None:
    """Also where the last connection had one."""
    one = client(story)
    story.published(TRADES, 1)
    story.published(TRADES, 2)
    one.trades(1)
    one.returns()
    one.trades(2)
    assert story.kinds() == ["shown without a token"]


@pytest.mark.parametrize(("late", "kinds"), [(1.0, []), (6.0, ["shown after its token expired"])])
def test_what_is_shown_after_a_token_expired_is_caught(
    story: Story, late: float, kinds: list[str]
) -> None:
    """But for what was on its way."""
    one = client(story)
    story.now += LONG + late
    story.published(TRADES, 1)
    one.trades(1)
    assert story.kinds() == kinds


def test_what_a_paused_node_sends_late_is_no_breach(story: Story) -> None:
    """It can't look at its clock meanwhile."""
    one = client(story)
    story.now += LONG
    story.fault("node paused")
    story.now += 5
    story.published(TRADES, 1)
    one.trades(1)
    assert story.kinds() == []


def test_a_symbol_that_a_narrower_token_is_not_for_is_caught(story: Story) -> None:
    """From its answer on; until then the wider one counts."""
    one = client(story)
    for number in (1, 2):
        story.published(TRADES, number)
    one.happens("renewed", seconds=story.now + LONG, detail="P1")
    one.trades(1)
    assert story.kinds() == []
    one.hears("authenticated", TRADES)
    one.trades(2)
    assert story.kinds() == ["shown without the right"]


def test_a_refusal_of_what_a_token_is_for_is_caught(story: Story) -> None:
    """Whoever has the right is served."""
    one = client(story, symbols="P0")
    one.hears("error", OTHER, code="forbidden", message="no right")
    assert story.kinds() == []
    one.hears("error", TRADES, code="forbidden", message="no right")
    assert story.kinds() == ["forbidden, though allowed"]


@pytest.mark.parametrize("base", [False, True])
def test_a_token_that_expires_too_early_is_caught(story: Story, base: bool) -> None:
    """Nobody had to come back yet."""
    one = client(story, base=base)
    if not base:
        one.hears("token_expiring", TRADES)
    one.happens("lost", code=EXPIRED)
    assert story.kinds() == ["expired too early"]


@pytest.mark.parametrize(
    ("base", "kinds"), [(False, ["not told that its token expires"]), (True, [])]
)
def test_a_v1_client_that_was_not_told_in_time_is_caught(
    story: Story, base: bool, kinds: list[str]
) -> None:
    """Base clients have no message for it."""
    one = client(story, base=base)
    story.now += LONG
    one.happens("lost", code=EXPIRED)
    assert story.kinds() == kinds


def test_a_good_token_that_is_refused_is_caught(story: Story) -> None:
    """In the handshake, or by a close."""
    one = client(story)
    one.happens("lost", code=REFUSED)
    one.happens("refused", detail="InvalidStatus: server rejected WebSocket connection: HTTP 401")
    one.happens("refused", detail="InvalidStatus: server rejected WebSocket connection: HTTP 503")
    assert story.kinds() == ["refused a good token"] * 2


def test_a_publication_without_the_right_is_caught(story: Story) -> None:
    """It had to be refused."""
    story.published(TRADES, 1, outcome="failed", entitled=False)
    assert story.kinds() == []
    story.published(TRADES, 2, entitled=False)
    assert story.kinds() == ["published without the right"]


def test_a_client_is_not_silent_about_what_it_has_no_right_to(story: Story) -> None:
    """Until it is subscribed again."""
    one = client(story)
    story.published(TRADES, 1)
    one.trades(1)
    renew(story, one, "P1")
    one.hears("error", TRADES, code="forbidden", message="no right")
    for number in (2, 3, 4, 5):
        story.published(TRADES, number, after=2.0)
    renew(story, one)
    one.confirmed(TRADES, 5)
    story.published(TRADES, 6)
    one.trades(6)
    assert story.kinds() == []
    for number in (7, 8, 9, 10):
        story.published(TRADES, number, after=2.0)
    one.trades(7, 8, 9, 10)
    assert story.kinds() == ["silence"]
