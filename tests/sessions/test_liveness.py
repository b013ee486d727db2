from typing import Any

from bookcast.errors import CloseCode
from bookcast.sessions.base import SessionRules
from bookcast.sessions.liveness import PROOF_SECONDS, Liveness
from tests.support import ManualTimer


class Client:
    """The other side, as far as a watch sees it."""

    def __init__(self) -> None:
        self.heard_at = 1000.0
        self.waiting = 0
        self.pings: list[bytes] = []

    def backlog(self) -> int:
        return self.waiting

    def ping(self, payload: bytes) -> None:
        self.pings.append(payload)

    def end(self, code: CloseCode) -> None:
        raise AssertionError(code)

    def go_on(self) -> None:
        raise AssertionError


def watched(**rules: Any) -> tuple[Client, Liveness]:
    timer, client = ManualTimer(), Client()
    timer.now = 1000.0
    return client, Liveness(client, SessionRules(clock=timer.clock, **rules))


def test_a_silent_client_is_pinged_once_and_has_its_time_to_answer() -> None:
    """Whatever it says is an answer."""
    client, watch = watched(ping_interval=20, ping_timeout=20)
    assert watch.judge_answer(1019) is None
    assert client.pings == []
    assert [watch.judge_answer(now) for now in (1020, 1030, 1039)] == [None] * 3
    assert client.pings == [b""]
    client.heard_at = 1039.5
    assert watch.judge_answer(1058) is None
    assert watch.judge_answer(1060) is None
    assert watch.judge_answer(1080) is CloseCode.HEARTBEAT_MISSED


def test_a_client_that_was_not_listened_to_has_its_time_anew() -> None:
    """It couldn't say anything."""
    client, watch = watched()
    watch.begun_at = 1100.0
    assert watch.judge_answer(1119) is None
    assert client.pings == []


def test_only_the_answer_to_what_was_asked_is_one() -> None:
    """And only once."""
    client, watch = watched()
    assert not watch.is_answer(b"")
    watch.ask()
    assert not watch.is_answer(b"something")
    assert watch.is_answer(client.pings[-1])
    assert not watch.is_answer(client.pings[-1])


def test_what_was_sent_before_a_client_was_heard_of_has_come() -> None:
    """But for what may have crossed its word."""
    client, watch = watched()
    client.heard_at = 1234.0
    assert watch.delivered_before() == 1234.0 - PROOF_SECONDS


def test_a_client_that_takes_nothing_for_too_long_is_too_slow() -> None:
    """A little is enough."""
    client, watch = watched(slow_timeout=30)
    client.waiting = 100
    watch.hold(1000)
    assert watch.judge_progress(1029) is None
    client.waiting = 99
    assert watch.judge_progress(1029.5) is None
    assert watch.judge_progress(1059) is None
    assert watch.judge_progress(1059.5) is CloseCode.TOO_SLOW


def test_who_a_client_is_must_be_said_in_time() -> None:
    """From its connection on."""
    _, watch = watched(auth_timeout=10)

    def verdict(now: float, *, is_known: bool = False, is_asking: bool = False) -> CloseCode | None:
        return watch.judge(now, is_known=is_known, is_asking=is_asking, is_writable=True)

    assert verdict(1009) is None
    assert verdict(1010) is CloseCode.REFUSED
    assert verdict(1010, is_asking=True) is None
    assert verdict(1010, is_known=True) is None


def test_a_silence_is_long_when_nothing_was_said_for_a_heartbeat() -> None:
    """A second early rather than late."""
    _, watch = watched()
    watch.note_said()
    assert not watch.is_silent(1000, ())
    assert not watch.is_silent(1008, ())
    assert watch.is_silent(1009, ())
