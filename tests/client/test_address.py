import pytest

from bookcast.client.address import is_local, random_id, socket_address


@pytest.mark.parametrize(
    ("url", "client_id", "address"),
    [
        ("ws://host", "me", "ws://host/ws/me"),
        ("https://host/prefix/", "me", "wss://host/prefix/ws/me"),
        ("http://host:8002/ws", "me", "ws://host:8002/ws/me"),
        ("wss://host/a/b/ws/given", None, "wss://host/a/b/ws/given"),
        ("wss://host/ws/given?x=1#y", "mine", "wss://host/ws/mine?x=1"),
        ("ws://[::1]:8002", "a b/ü", "ws://[::1]:8002/ws/a%20b%2F%C3%BC"),
    ],
)
def test_an_address_is_a_server_or_the_whole(url: str, client_id: str | None, address: str) -> None:
    """The id that is given counts before that of the address."""
    assert socket_address(url, client_id) == address


def test_without_an_id_it_is_one_that_nobody_else_has() -> None:
    """A new one each time."""
    one, other = (socket_address("ws://host", None) for _ in range(2))
    assert one != other
    assert one.startswith("ws://host/ws/py-")
    assert random_id() != random_id()


@pytest.mark.parametrize(
    "url", ["host:8002", "", "ftp://host", "ws://", "ws://host:port", "/ws/me"]
)
def test_what_names_no_server_is_refused(url: str) -> None:
    """With an example of what does."""
    with pytest.raises(ValueError, match=r"wss://host/prefix.*not"):
        socket_address(url, None)


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("ws://127.0.0.1:8002/ws/me", True),
        ("ws://localhost/ws/me", True),
        ("ws://[::1]/ws/me", True),
        ("ws://10.0.0.1/ws/me", False),
        ("wss://localhost.example.com/ws/me", False),
    ],
)
def test_this_machine_is_recognised(address: str, *, local: bool) -> None:
    """No proxy reaches it for us."""
    assert is_local(address) is local
