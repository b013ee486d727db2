import pytest

import bookcast
from bookcast.client import BookcastClientError, Refused, Stopped
from bookcast.client.errors import no_answer, refusal
from bookcast.protocol.v1.messages import ErrorMessage


def test_a_refusal_says_what_the_server_said() -> None:
    """With a typed code, and whether trying again can help."""
    told = ErrorMessage(
        code="rate_limited", message="Too much", channel="quote", symbol="A", retry_after_ms=1500
    )
    error = refusal(told)
    assert isinstance(error, Refused)
    assert (error.code, error.final, error.retry_after) == ("rate_limited", False, 1.5)
    assert str(error) == "Too much (quote of A, rate_limited)"


@pytest.mark.parametrize("code", ["forbidden", "invalid_token", "a_code_of_next_year"])
def test_what_must_be_mended_first_is_final(code: str) -> None:
    """So is a code that this release doesn't know."""
    assert refusal(ErrorMessage(code=code, message="no")).final


def test_all_errors_have_one_root() -> None:
    """Which is one of bookcast's own."""
    assert not no_answer().final
    assert issubclass(Refused, BookcastClientError)
    assert issubclass(Stopped, BookcastClientError)
    assert issubclass(BookcastClientError, bookcast.BookcastError)
    error = Stopped(4501, "taken over", final=True)
    assert (error.code, error.final, str(error)) == (4501, True, "taken over (4501)")
