from typing import Any

import pytest

from bookcast.client.listeners import call_all, listen


def test_a_listener_that_fails_stops_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    """One that takes itself out while it is told neither."""
    told: list[int] = []
    listeners: list[Any] = [
        lambda _one: 1 / 0,
        told.append,
        lambda _one: listeners.clear(),
        told.append,
    ]
    call_all(listeners, 7)
    call_all(listeners, 8)
    assert told == [7, 7]
    assert "a listener of the program's failed" in caplog.text


def test_a_listener_may_be_taken_out_twice() -> None:
    """The same function that listens a second time stays."""
    told: list[int] = []
    listeners: list[Any] = []
    stop = listen(listeners, told.append)
    listen(listeners, told.append)
    stop()
    stop()
    call_all(listeners, 7)
    assert told == [7]
