from msgspec import UNSET

from bookcast.errors import InvalidInput
from bookcast.hub.view_spec import ViewSpec
from bookcast.protocol.v1.answers import error_of, seen_as


def test_an_error_tells_when_to_try_again_where_that_is_known() -> None:
    """In whole milliseconds, rather late than early."""
    told = error_of(InvalidInput("rate_limited", "Too many", retry_after=0.0101), 7, "quote", "A")
    assert (told.id, told.code, told.message) == (7, "rate_limited", "Too many")
    assert (told.channel, told.symbol, told.retry_after_ms) == ("quote", "A", 11)
    assert error_of(InvalidInput("forbidden", "No")).retry_after_ms is UNSET


def test_a_view_is_told_as_it_was_asked_for() -> None:
    """Without what the client didn't choose."""
    seen = seen_as(ViewSpec("v1", "AAPL", 10, delta=True, interval_ms=250, deflate=True))
    assert (seen.depth, seen.mode, seen.interval_ms) == (10, "delta", 250)
