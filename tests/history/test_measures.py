"""What a history says in numbers."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from tests.history import measures
from tests.history.history import Attempt, Event, Fault, Happening, History, Track


def event(at: float, what: Happening, node: str = "", **more: Any) -> Event:
    """Make an event; a message is given by its fields."""
    message = more.pop("message", None)
    raw = msgspec.Raw() if message is None else msgspec.Raw(msgspec.json.encode(message))
    return Event(at, what, node=node, message=raw, **more)


TRADE = {"type": "trade", "symbol": "P0", "data": {"trades": [{"id": "p0-1"}]}}
BOOK = {"type": "orderbook_update", "symbol": "P0", "data": {"n": 3}}


@pytest.fixture
def history() -> History:
    """A client loses the node that is killed, and one stays at another."""
    lost = Track(
        "lost",
        "v1",
        ["trades:P0"],
        [
            event(0.0, "opened", "node1"),
            event(1.1, "lost", "node1", detail="gone"),
            event(1.1, "waits", seconds=0.2),
            event(1.3, "refused"),
            event(1.3, "waits", seconds=0.4),
            event(1.8, "opened", "node2"),
            event(1.9, "heard", "node2", message={"type": "welcome"}),
            event(2.0, "heard", "node2", message=TRADE),
        ],
    )
    stayed = Track("stayed", "base", ["orderbook:P0"], [event(0.0, "opened", "node2")])
    stayed.events.append(event(1.5, "heard", "node2", message=BOOK))
    attempts = [
        Attempt("p0", "trades:P0", 1.75, 1.8, "ok", id="p0-1", epoch="e", seq=1),
        Attempt("p0", "orderbook:P0", 1.0, 1.8, "ok", number=3, epoch="e", seq=3),
        Attempt("p0", "orderbook:P0", 1.0, 1.8, "failed", number=4, detail="no"),
    ]
    fault = Fault("node killed", 1.0, 3.0, "node1")
    return History(1, attempts, [lost, stayed], [fault])


def test_an_outage_counts_from_the_loss_and_without_the_clients_own_waits(history: History) -> None:
    """Who was at another node had none."""
    [outage] = measures.outages(history)
    assert outage.client == "lost"
    assert outage.noticed == pytest.approx(0.1)
    assert outage.waited == pytest.approx(0.6)
    assert outage.without == pytest.approx(0.3)


def test_an_outage_that_has_no_end_is_told_apart(history: History) -> None:
    """The client never had data again."""
    history.tracks[0].events.pop()
    [outage] = measures.outages(history)
    assert outage.without is None


def paused(history: History) -> list[measures.Outage]:
    """Replace the fault by a pause of one second, and return the outages."""
    history.faults = [Fault("node paused", 0.5, 1.5, "node1")]
    return measures.outages(history, ["node paused"])


def test_a_client_that_outlasts_a_pause_is_no_outage(history: History) -> None:
    """It kept its connection until the run stopped it."""
    history.tracks[0].events[1:] = [
        event(1.6, "heard", "node1", message=TRADE),
        event(30.0, "stopped", "node1"),
    ]
    assert paused(history) == []


def test_a_loss_long_after_a_pause_has_another_cause(history: History) -> None:
    """Of a node that was paused nobody takes the connection for dead after so long."""
    for number in (1, 2):
        one = history.tracks[0].events[number]
        history.tracks[0].events[number] = msgspec.structs.replace(one, at=30.0)
    assert paused(history) == []


def test_a_loss_after_the_last_publication_has_nothing_to_wait_for(history: History) -> None:
    """Whoever comes back then is shown nothing, since there is nothing."""
    history.tracks[0].events.pop()
    for attempt in history.attempts:
        attempt.ended = 1.0
    assert measures.outages(history) == []


def test_delays_are_of_what_was_acknowledged(history: History) -> None:
    """From when it was sent to when a client had it."""
    assert measures.delays(history) == pytest.approx([0.25, 0.5])
    history.tracks[1].name = "slow"
    assert measures.delays(history) == pytest.approx([0.25])


def test_the_longest_silence_includes_both_edges(history: History) -> None:
    """Of all clients together."""
    assert measures.longest_silence(history, "P0", 0.0, 4.0) == pytest.approx(2.0)
    assert measures.longest_silence(history, "P1", 0.0, 4.0) == pytest.approx(4.0)


def test_everything_is_counted(history: History) -> None:
    """Messages by type, what happened to clients, and what wasn't published."""
    counted = measures.counts(history)
    assert counted["messages"] == 3
    assert counted["heard"] == {"welcome": 1, "trade": 1, "orderbook_update": 1}
    assert counted["publications"] == {"ok": 2, "failed": 1}
    assert counted["not published"] == {"no": 1}


def test_a_percentile_of_nothing_is_no_number() -> None:
    """And of something, one of it."""
    assert math.isnan(measures.percentile([], 0.5))
    assert measures.percentile([1.0, 2.0, 3.0], 0.5) == 2.0
    assert measures.percentile([1.0, 2.0, 3.0], 1.0) == 3.0


def test_a_history_is_written_as_lines_of_json(history: History) -> None:
    """One for each thing that happened, with messages as they were."""
    lines = [msgspec.json.decode(line) for line in history.lines()]
    assert [line for line in lines if line.get("message") == TRADE]
    assert len(lines) == 1 + 3 + 1 + 2 + 8 + 2
