import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from bookcast.feeds.futu.books import LatestBooks
from bookcast.feeds.futu.connection import Connection, _context_class


def unopened() -> Connection:
    return Connection(LatestBooks(asyncio.get_running_loop()), asyncio.Event())


async def test_an_error_pushed_instead_of_a_book_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """It isn't raised, where the vendor's package would swallow it; nor is a fault of ours."""
    connection = unopened()
    connection.receive(SimpleNamespace(retType=-1, retMsg="no right"))
    assert "OpenD pushed an error: no right (-1)" in caplog.text
    for _ in range(3):
        connection.receive(SimpleNamespace(retType=0, s2c=None))
    assert caplog.text.count("can't be decoded") == 1


class Vendor:
    """As much of the vendor's package as a context needs, without a network."""

    RET_OK = 0

    class OpenQuoteContext:
        """It notes what is called."""

        def __init__(self, **options: object) -> None:
            self.calls: list[str] = []

        def on_connect(self, _conn_id: int, _info: Any) -> None:
            self.calls.append("vendor's own part")

        def on_disconnect(self, *_arguments: object) -> None:
            self.calls.append("vendor's own part")

        def close(self) -> None:
            self.calls.append("close")


@pytest.mark.parametrize(("reason", "silent"), [("KeepAliveFail", True), ("RemoteClose", False)])
async def test_a_lost_connection_is_final_and_says_why(reason: str, silent: bool) -> None:
    """It is closed before the vendor's own part, which would begin to reconnect."""
    connection = unopened()
    context = _context_class(Vendor)(connection, "127.0.0.1", 11111)
    assert context.on_api_socket_reconnected() == (0, "")
    assert connection.state == "ready"
    context.on_disconnect(1, SimpleNamespace(name=reason), "")
    assert context.calls == ["close", "vendor's own part"]
    connection.become("ready")
    assert (connection.state, connection.silent) == ("lost", silent)


async def test_an_address_that_cannot_be_reached_is_a_lost_connection() -> None:
    """Where connecting fails on the spot, the vendor forgets to say which connection it was."""
    connection = unopened()
    context = _context_class(Vendor)(connection, "127.0.0.1", 11111)
    context.on_connect(
        SimpleNamespace(conn_id=1, msg="Network is unreachable", err=SimpleNamespace(value=1))
    )
    assert connection.state == "lost"
    assert "close" in context.calls
