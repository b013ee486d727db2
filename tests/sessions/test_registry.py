from typing import cast

import pytest

from bookcast.sessions.registry import Registry
from bookcast.sessions.session import Session


class Writable:
    def __init__(self, writable: bool) -> None:
        self.writable = writable


class Two:
    """A session with two subscriptions that notes when it is checked."""

    subscription_count = 2

    def __init__(self, writable: bool = True) -> None:
        self.outbox = Writable(writable)
        self.checked: list[float] = []
        self.client_id = "me"

    def check(self, now: float) -> None:
        self.checked.append(now)


def test_the_registry_counts_who_is_there_and_who_came() -> None:
    """Leaving twice is as good as once."""
    registry = Registry()
    first, second = cast("Session", Two()), cast("Session", Two())
    registry.add(first)
    registry.add(second)
    assert (len(registry), registry.subscription_count()) == (2, 4)
    registry.remove(first)
    registry.remove(first)
    assert (len(registry), registry.accepted) == (1, 2)


def test_every_session_is_looked_after() -> None:
    """Those that can't take data are counted."""
    registry = Registry()
    sessions = Two(), Two(writable=False)
    for session in sessions:
        registry.add(cast("Session", session))
    registry.check(5.0)
    assert [session.checked for session in sessions] == [[5.0], [5.0]]
    assert registry.held() == [cast("Session", sessions[1])]


def test_a_session_that_cannot_be_checked_keeps_no_other_from_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log has why."""

    class Broken(Two):
        def check(self, now: float) -> None:
            raise ValueError(now)

    registry = Registry()
    sessions = [Broken(), Two(), Broken()]
    for session in sessions:
        registry.add(cast("Session", session))
    registry.check(5.0)
    assert sessions[1].checked == [5.0]
    assert caplog.text.count("client 'me' met a fault of ours") == 2
