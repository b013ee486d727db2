from typing import cast

from bookcast.sessions.registry import Registry
from bookcast.sessions.session import Session


class Two:
    subscription_count = 2


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
