"""How a connection is lost and comes back, on a clock and with sockets that tests move by hand."""

import json
from typing import Any

import pytest

from bookcast.client.clock import Clock
from bookcast.client.errors import BookcastClientError, Refused
from bookcast.client.line import Line, LineStatus, is_final
from bookcast.client.websocket import Events
from tests.still_loop import StillLoop

from .world import BEGINNING


class HandSocket:
    """A socket that does what a test says."""

    def __init__(self, events: Events) -> None:
        self.events = events
        self.sent: list[Any] = []
        self.closed_with: int | None = None

    def send(self, text: bytes) -> None:
        """Note a message."""
        self.sent.append(json.loads(text))

    def close(self, code: int) -> None:
        """Note the code."""
        self.closed_with = code


class Bench:
    """A line, its protocol, and its surroundings."""

    def __init__(self, *, opened: bool = True) -> None:
        self.seconds = self.slept = 0.0
        self.dice = 0.999
        self.sockets: list[HandSocket] = []
        self.states: list[LineStatus] = []
        self.lost_count = 0
        self.errors: list[BookcastClientError] = []
        self.loop = StillLoop(lambda: self.seconds)
        clock = Clock(self.loop, now=self.now, chance=lambda: self.dice)
        self.line = Line("ws://test", sockets=self, clock=clock, protocol=self, get_token=None)
        self.line.start()
        if opened:
            self.latest.events.opened()

    @property
    def latest(self) -> HandSocket:
        """Return the newest socket."""
        return self.sockets[-1]

    @property
    def delay(self) -> float:
        """Return how long it is until the next attempt."""
        return (self.line.status.retry_at or 0) - self.now()

    def now(self) -> float:
        """Return milliseconds since 1970."""
        return BEGINNING + (self.seconds + self.slept) * 1000

    def advance(self, milliseconds: float) -> None:
        """Let time pass, with everything that happens meanwhile."""
        end = self.seconds + milliseconds / 1000
        self.loop.settle()
        while self.loop.due <= end:
            self.seconds = max(self.seconds, self.loop.due)
            self.loop.settle()
        self.seconds = end

    # The sockets

    def open(self, _address: str, events: Events) -> HandSocket:
        """Open one."""
        self.sockets.append(HandSocket(events))
        return self.latest

    async def finish(self) -> None:
        """Wait for nothing."""

    # The protocol

    def ping(self) -> object:
        """Return a ping."""
        return {"action": "ping"}

    def opened(self) -> None:
        """Be of use at once."""
        self.line.up()

    def received(self, data: bytes) -> None:
        """Hear a pong."""
        if data == b"pong":
            self.line.ponged()

    def lost(self) -> None:
        """Count it."""
        self.lost_count += 1

    def changed(self, status: LineStatus) -> None:
        """Note it."""
        self.states.append(status)

    def renewed(self, token: str) -> None:
        """There are no tokens."""

    def failed(self, error: BookcastClientError) -> None:
        """Note it."""
        self.errors.append(error)

    def turned_away(self, error: Refused) -> None:
        """Note it."""
        self.errors.append(error)

    def obeys(self, code: int) -> bool:
        """Obey."""
        return bool(code)


def test_a_lost_connection_is_tried_again_with_backoff_and_jitter() -> None:
    """Exponential, and capped."""
    bench = Bench(opened=False)
    delays = []
    for _ in range(9):
        bench.latest.events.closed(1006, "")
        assert bench.line.status.state == "waiting"
        delays.append(bench.delay)
        bench.advance(delays[-1] + 0.001)
    expected = [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000, 20_000]
    assert delays == pytest.approx([0.999 * one for one in expected])
    bench.dice = 0.1
    bench.latest.events.closed(1006, "")
    assert bench.delay == pytest.approx(2_000)


def test_the_backoff_begins_anew_once_a_connection_has_lived_for_a_while() -> None:
    """One that was lost at once didn't."""
    bench = Bench(opened=False)
    for _ in range(6):
        bench.latest.events.closed(1006, "")
        bench.advance(20_000)
    bench.latest.events.opened()
    bench.advance(10_000)
    bench.latest.events.closed(1006, "")
    assert bench.delay <= 500


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1007, 1009, 1011, 1012, 1013, 4000, 4008, 4010])
def test_it_comes_back_after_most_close_codes(code: int) -> None:
    """So do codes that aren't known."""
    bench = Bench()
    bench.latest.events.closed(code, "")
    assert (bench.line.status.state, bench.line.status.code) == ("waiting", code)
    assert not is_final(code)


@pytest.mark.parametrize("code", [1008, 4500, 4501, 4503, 4999])
def test_it_is_stopped_for_good_by_others(code: int) -> None:
    """They say that coming back is of no use."""
    bench = Bench()
    bench.latest.events.closed(code, "why")
    assert bench.line.status == LineStatus("stopped", "why", code, final=True)
    bench.advance(600_000)
    assert len(bench.sockets) == 1


def test_a_servers_wish_to_be_left_alone_is_kept() -> None:
    """One that makes no sense is none."""
    bench = Bench()
    bench.line.hold_off(30_000)
    bench.latest.events.closed(1013, "")
    bench.advance(29_000)
    assert len(bench.sockets) == 1
    bench.advance(2_000)
    assert len(bench.sockets) == 2
    for wish in (None, 0, -5):
        other = Bench()
        other.line.hold_off(wish)
        other.latest.events.closed(1013, "")
        assert other.delay <= 500


def test_a_server_that_goes_away_chose_a_moment_for_this_client() -> None:
    """It is kept; at once when it closes before."""
    bench = Bench()
    bench.advance(10_000)
    bench.line.leave_in(3_000)
    bench.advance(2_900)
    assert bench.line.is_open
    bench.advance(200)
    assert len(bench.sockets) == 2
    assert bench.sockets[0].closed_with == 4000
    other = Bench()
    other.advance(10_000)
    other.line.leave_in(3_000)
    other.latest.events.closed(1012, "")
    other.advance(1)
    assert len(other.sockets) == 2


def test_a_handshake_that_is_refused_is_tried_again_when_the_server_says() -> None:
    """Unless the refusal is final."""
    bench = Bench(opened=False)
    bench.latest.events.refused(Refused("server_full", "HTTP 503: full", retry_after=7))
    assert (bench.line.status.state, bench.line.status.reason) == ("waiting", "HTTP 503: full")
    bench.advance(6_900)
    assert len(bench.sockets) == 1
    bench.advance(700)
    assert len(bench.sockets) == 2
    bench.latest.events.refused(Refused("host_not_allowed", "HTTP 421: no", final=True))
    assert bench.line.status == LineStatus("stopped", "HTTP 421: no", final=True)
    assert [error.code for error in bench.errors] == ["host_not_allowed"]


def test_a_dead_peer_is_noticed_when_nothing_follows_a_ping() -> None:
    """Its socket is closed with 4000, and the session told."""
    bench = Bench()
    bench.advance(15_000)
    assert bench.latest.sent == [{"action": "ping"}]
    bench.advance(5_000)
    assert bench.sockets[0].closed_with == 4000
    assert (bench.line.status.state, bench.lost_count) == ("waiting", 1)


def test_a_peer_isnt_suspected_while_anything_comes() -> None:
    """Pongs where it is asked for them."""
    bench = Bench()
    for _ in range(20):
        bench.advance(4_000)
        bench.latest.events.received(b"heartbeat")
        if bench.latest.sent:
            bench.latest.events.received(b"pong")
    assert len(bench.sockets) == 1


def test_a_peer_that_hears_nothing_is_noticed_though_messages_come() -> None:
    """Only a pong shows that it hears."""
    bench = Bench()
    for _ in range(40):
        bench.advance(4_000)
        bench.sockets[0].events.received(b"heartbeat")
    assert bench.sockets[0].closed_with == 4000


def test_a_dead_peer_is_noticed_soon_after_the_machine_has_slept() -> None:
    """The loop's own clock stood still meanwhile."""
    bench = Bench()
    bench.advance(1_000)
    bench.slept = 3_600
    bench.advance(5_000)
    assert bench.latest.sent == [{"action": "ping"}]
    bench.advance(5_000)
    assert bench.sockets[0].closed_with == 4000


def test_a_dead_peer_is_noticed_though_the_clock_was_set_back() -> None:
    """By an hour."""
    bench = Bench()
    bench.advance(1_000)
    bench.slept = -3_600
    bench.advance(40_000)
    assert bench.sockets[0].closed_with == 4000


def test_a_socket_that_never_opens_is_given_up() -> None:
    """After eight seconds."""
    bench = Bench(opened=False)
    bench.advance(8_000)
    assert bench.sockets[0].closed_with == 4000


def test_it_says_goodbye_only_when_it_is_stopped() -> None:
    """Nothing of it is left."""
    bench = Bench()
    bench.line.stop()
    bench.line.stop()
    assert bench.latest.closed_with == 1000
    assert bench.states[-1] == LineStatus("stopped", "closed", final=True)
    bench.advance(600_000)
    assert len(bench.sockets) == 1
