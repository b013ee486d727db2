from typing import Any

import pytest

from bookcast.client.listeners import call_all


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
