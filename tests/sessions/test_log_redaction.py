import pytest

from bookcast.protocol.v1 import messages as v1
from bookcast.sessions.log_redaction import SHOWN, shown, without_secrets


@pytest.mark.parametrize(
    ("said", "logged"),
    [
        (b'{"action":"ping"}', b'{"action":"ping"}'),
        (b'{"token":"abc","id":1}', b'{"token":"(hidden)","id":1}'),
        (b'{"session" : "abc"}', b'{"session" : "(hidden)"}'),
        (b'{"token":"abc', b'{"token":"(hidden)"'),
        (b'{"\\u0074oken":"abc"}', b"(escaped text)"),
        (b"x" * 1000, b"x" * SHOWN),
    ],
)
def test_a_message_of_a_client_is_logged_without_secrets(said: bytes, logged: bytes) -> None:
    """Whole or cut off, spelt plainly or not."""
    assert without_secrets(said) == logged


def test_a_message_to_a_client_is_logged_without_its_session() -> None:
    """Of one that holds a secret the log has the name alone."""
    assert shown(v1.Welcome("bookcast.v1", "me", "a secret", 1, 1.0)) == "welcome"
    assert shown(v1.Pong(id=7, server_time=1.0)).startswith("Pong(")
