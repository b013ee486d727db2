import pytest

from bookcast.feeds.factory import feeds_of
from bookcast.feeds.futu.client import FutuFeed
from bookcast.feeds.simulator import Simulator
from bookcast.settings import from_keywords


async def publish(_publications: object) -> None:
    raise AssertionError


@pytest.mark.parametrize(
    ("name", "kind"), [("simulator", Simulator), ("futu", FutuFeed), ("moomoo", FutuFeed)]
)
def test_the_feed_is_the_one_that_is_named(name: str, kind: type) -> None:
    """Futu and moomoo are the same."""
    [feed] = feeds_of(from_keywords(feed=name), publish)
    assert isinstance(feed, kind)


def test_without_a_feed_there_is_none() -> None:
    """Publishers alone."""
    assert feeds_of(from_keywords(), publish) == []
