"""Records of other nodes that this one can't read: they are reported, without a flood of logs."""

from __future__ import annotations

import logging
import re

import msgspec
import pytest

from bookcast.backplane.link import Link
from bookcast.backplane.unreadable_log import MINUTE, UnreadableLog
from bookcast.engine.redis.records import encode
from bookcast.errors import InvalidInput
from bookcast.model.history import History
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Publication
from tests.engine.nodes import (
    EngineNode,
    book,
    books,
    node,
    nodes,
    sizes,
    trade,
    written_by_another,
)
from tests.fakes.redis_server import RedisServer
from tests.support import AAPL, CANDLES, QUOTE, TRADES, ManualTimer, eventually, update

NONSENSE = (b"", b"nonsense", b"\xc1", msgspec.msgpack.encode([1, 2, 3]), b"\x91" * 3000)
"""Also with one field more, first: what the operator of two releases saw."""


def link_of(running: EngineNode) -> Link:
    return running.engine._link


def _number(record: logging.LogRecord) -> int:
    return int(re.findall(r"(\d+) since", record.getMessage())[0])


def test_it_is_logged_once_a_minute_with_its_number(caplog: pytest.LogCaptureFixture) -> None:
    """The first at once, and no traceback."""
    timer = ManualTimer()
    log = UnreadableLog(timer.clock)
    with caplog.at_level(logging.DEBUG):
        for second in range(130):
            timer.now = float(second)
            log.note(f"trades:US.A, seq {second}", "Expected `array`, got `int`")
            log.check()
    assert log.count == 130
    assert [_number(record) for record in caplog.records] == [1, 60, 60]
    assert "trades:US.A, seq 120: Expected" in caplog.records[-1].getMessage()
    assert not any(record.exc_info for record in caplog.records)


def test_what_came_after_the_last_line_is_logged_though_nothing_more_comes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """When its minute is over."""
    timer = ManualTimer()
    log = UnreadableLog(timer.clock)
    for _ in range(3):
        log.note("a session", "why")
    assert len(caplog.records) == 1
    timer.now = MINUTE
    log.check()
    log.check()
    assert [_number(record) for record in caplog.records] == [1, 2]


def test_it_is_trouble_for_a_minute() -> None:
    """Then all is well again."""
    timer = ManualTimer()
    log = UnreadableLog(timer.clock)
    assert log.trouble is None
    log.note("trades:US.A, seq 1", "why")
    timer.now = MINUTE - 1
    assert log.trouble is not None
    assert "trades:US.A, seq 1: why" in log.trouble
    timer.now = MINUTE
    assert log.trouble is None


def test_a_hole_in_a_history_is_known_for_what_it_is() -> None:
    """And another one isn't mistaken for it."""
    for skipped, reason in ((3, "unreadable"), (1, "history"), (None, "history")):
        history = History(10)
        history.append(update(1, TRADES))
        history.append(update(2, TRADES))
        if skipped is not None:
            history.skip(Position("e", skipped))
        history.append(update(4, TRADES))
        gap, newer = history.after(Position("e", 2))
        assert gap is not None
        assert (gap.from_seq, gap.to_seq, gap.reason) == (3, 3, reason)
        assert [one.position.seq for one in newer] == [4]


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("topic", [TRADES, AAPL, CANDLES, QUOTE])
async def test_what_cant_be_read_is_passed_over(
    redis_url: str, topic: Topic, nonsense: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes before and after it is shown, in the cluster's epoch; no fault is logged."""
    first, second = (update(seq, topic) for seq in (1, 2))
    async with node(redis_url) as one:
        await one.follow(topic)
        await written_by_another(link_of(one), topic, encode(Publication(topic, first.data), 0))
        await eventually(lambda: len(one.delivered) == 1, "the first")
        await written_by_another(link_of(one), topic, nonsense)
        await eventually(lambda: bool(one.unreadable), "word of it")
        await written_by_another(link_of(one), topic, encode(Publication(topic, second.data), 0))
        await eventually(lambda: len(one.delivered) == 2, "the second")
        epoch = one.delivered[0].position.epoch
        assert one.unreadable == [(topic, Position(epoch, 2))]
        assert one.positions(topic) == [Position(epoch, 1), Position(epoch, 3)]
        assert one.engine.numbers()["unreadable"] == 1
        status = one.engine.status()
        assert (status.state, bool(status.detail)) == ("connected", True)
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_message_that_was_damaged_is_read_from_the_log(
    redis_url: str, redis_server: RedisServer
) -> None:
    """No update is missing then, and no gap is reported."""
    async with nodes(redis_url, "one", "two") as (one, other):
        await one.follow(TRADES)
        await other.engine.publish(trade(TRADES, 1))
        await eventually(lambda: sizes(one.delivered) == [1], "the first")
        channel = link_of(one).keys.topic(TRADES).channel
        for damaged in ("", "x", "trades::US.AAPL\te\tq\n", "trades::US.AAPL\te\t2\t3\nabc"):
            redis_server.cli("PUBLISH", channel, damaged)
        await other.engine.publish(trade(TRADES, 2, 3))
        await eventually(lambda: sizes(one.delivered) == [1, 2, 3], "the others")
        assert one.unreadable == []


async def test_of_a_topic_whose_newest_cant_be_read_the_last_that_can_is_shown(
    redis_url: str,
) -> None:
    """A later subscriber gets a gap for the unreadable rest."""
    async with nodes(redis_url, "one", "two") as (one, other):
        await other.engine.publish(books(AAPL, 1))
        await other.follow(AAPL)
        await written_by_another(link_of(other), AAPL, b"nonsense")
        await eventually(lambda: bool(other.unreadable), "word of it")
        with pytest.raises(InvalidInput, match="written by another release") as caught:
            await one.engine.snapshot(AAPL)
        assert caught.value.code == "engine_unavailable"
        await one.follow(AAPL)
        log = one.engine.open_now(AAPL).log
        assert log.unreadable is not None
        assert log.unreadable.seq == 2
        assert one.delivered == []
        found = await other.engine.snapshot(AAPL)
        assert found is not None
        assert found.data == book(1)
        await other.engine.publish(books(AAPL, 3))
        await eventually(lambda: sizes(one.delivered) == [3], "the next")
        assert one.seqs(AAPL) == [3]


async def test_many_that_cant_be_read_dont_make_the_node_read_for_ever(redis_url: str) -> None:
    """Those that come together are read together, and the audit leaves them alone."""
    async with node(redis_url) as one:
        await one.follow(TRADES)
        await one.has(TRADES, (await one.engine.publish(trade(TRADES, 1)))[0])
        await written_by_another(link_of(one), TRADES, *[b"nonsense"] * 500)
        await eventually(lambda: len(one.unreadable) == 500, "all of them")
        await one.engine._log_sync.audit()
        repaired = one.engine._log_sync.repaired
        await one.engine._log_sync.audit()
        assert one.engine._log_sync.repaired == repaired
        assert len(one.unreadable) == 500
