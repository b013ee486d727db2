import asyncio

import httpx
import pytest

import bookcast
from bookcast import BookData, InvalidInput, SettingError, StartupError

BOOK: BookData = {"bids": [[189.9, 300]], "asks": [[190.0, 100]]}


def test_a_script_serves_and_publishes() -> None:
    """It waits for the place, and is told what is wrong."""
    with bookcast.serve_in_thread(port=0) as server:
        assert server.publish("AAPL", BOOK).seq == 1
        assert server.publish_threadsafe("AAPL", BOOK).result(10).seq == 2
        with pytest.raises(InvalidInput, match="asks is missing"):
            server.publish("AAPL", {"bids": []})  # type: ignore[call-overload] # the point
        answer = httpx.get(f"http://127.0.0.1:{server.port}/books/AAPL", trust_env=False)
        assert answer.json()["data"] == BOOK
    with pytest.raises(StartupError, match="start it first"):
        server.publish("AAPL", BOOK)


def test_it_ends_also_when_the_script_fails() -> None:
    """And can be started again at its port."""
    server = bookcast.serve_in_thread(port=0)
    with pytest.raises(ZeroDivisionError), server:
        _ = 1 / 0
    with server:
        assert server.publish("AAPL", BOOK).seq == 1


def test_what_keeps_it_from_starting_is_told() -> None:
    """A wrong setting, a port that another has, a second start."""
    with pytest.raises(SettingError, match="There is no setting 'hots'"):
        bookcast.serve_in_thread(hots="127.0.0.1")  # type: ignore[call-arg] # the point
    with bookcast.serve_in_thread(port=0) as server:
        with pytest.raises(StartupError):
            bookcast.serve_in_thread(port=server.port).start()
        with pytest.raises(StartupError, match="runs already"):
            server.start()
    bookcast.serve_in_thread(port=0).stop()


async def test_a_running_loop_does_not_matter() -> None:
    """As in a notebook, whose cell may run twice at one port."""
    server = bookcast.serve_in_thread(port=0).start()
    port = server.port
    for _ in range(2):
        server.stop()
        server = bookcast.serve_in_thread(port=port).start()
        assert server.publish("AAPL", BOOK).seq == 1
        await asyncio.sleep(0)
    server.stop()
