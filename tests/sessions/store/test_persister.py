"""Which session is saved when, without a Redis: on a clock that the test moves."""

from __future__ import annotations

from bookcast.sessions.lost import LostSession
from bookcast.sessions.store.persister import SessionPersister
from bookcast.sessions.store.records import SessionRecords
from bookcast.sessions.times import SessionTimes
from tests.sessions.cluster import Between, Records
from tests.sessions.store.clients import SEEN
from tests.sessions.world import WorldTimer


def test_what_ended_while_redis_was_away_ends_when_it_is_back() -> None:
    """Before anything is saved under the same key."""
    timer = WorldTimer()
    between = Between(timer, seed=1)
    records: SessionRecords = Records(between, "one")  # type: ignore[assignment] # as in Redis
    holders = {"key": LostSession(("key",), SEEN)}
    with timer.loop.current():
        persister = SessionPersister(
            records,
            holders,
            unsure=set(),
            refused=lambda _key, _holder, _known: None,
            times=SessionTimes(),
        )
        persister.save(holders["key"])
        timer.run_until(timer.now + 1)
        assert persister.is_saved(LostSession(("key",), SEEN))
        between.is_down = True
        del holders["key"]
        persister.end("key")
        timer.run_until(timer.now + 5)
        assert not persister.is_idle
        assert between.records
        between.is_down = False
        persister.recover()
        timer.run_until(timer.now + 1)
        assert persister.is_idle
        assert not between.records
        timer.loop.end()
