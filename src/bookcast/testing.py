"""A pytest fixture: a real server on a free port, for tests of programs that use one.

The fixture comes with the package; a test only has to ask for it::

    def test_my_page(bookcast_server):
        bookcast_server.publish("AAPL", {"bids": [[189.9, 300]], "asks": [[190.0, 100]]})
        my_client.connect(bookcast_server.ws_url + "me")
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bookcast.in_thread import ServerThread, serve_in_thread

__all__ = ["ServerThread", "bookcast_server"]


@pytest.fixture
def bookcast_server() -> Iterator[ServerThread]:
    """Run a server on a free port, without a feed: the test publishes what it needs."""
    with serve_in_thread(port=0) as server:
        yield server
