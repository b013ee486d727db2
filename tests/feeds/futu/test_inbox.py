from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from bookcast.feeds.futu.inbox import MAX_EVENTS, Inbox
from bookcast.model.market_data import Quote
from bookcast.model.topics import Topic
from bookcast.model.updates import Publication
from tests.support import AAPL, QUOTE, TRADES, TSLA, trades

RECEIVED = 1_700_000_000_000.0


def decode(topic: Topic, message: Any, received_ms: float) -> Publication | None:
    """Take the message for a volume; 0 holds nothing, and less can't be understood."""
    if message < 0:
        raise ValueError(message)
    return Publication(topic, Quote(volume=message), None, received_ms) if message else None


def events(*sizes: int) -> list[Publication]:
    return [Publication(TRADES, trades(size)) for size in sizes]


def state(topic: Topic, volume: int) -> Publication:
    return Publication(topic, Quote(volume=volume), None, RECEIVED)


async def test_of_each_state_the_newest_is_taken() -> None:
    """And only that is decoded."""
    decoded: list[int] = []

    def noting(topic: Topic, message: Any, received_ms: float) -> Publication | None:
        decoded.append(message)
        return decode(topic, message, received_ms)

    inbox = Inbox()
    for volume in (1, 2, 3):
        inbox.put(QUOTE, noting, volume, RECEIVED)
    inbox.put(AAPL, noting, 9, RECEIVED)
    assert await inbox.take() == [state(QUOTE, 3), state(AAPL, 9)]
    assert decoded == [3, 9]


async def test_of_events_all_are_taken_in_order() -> None:
    """Whatever states came between."""
    inbox = Inbox()
    assert inbox.append(events(1, 2))
    inbox.put(QUOTE, decode, 5, RECEIVED)
    assert inbox.append(events(3))
    assert await inbox.take() == [*events(1, 2, 3), state(QUOTE, 5)]


async def test_what_was_taken_is_not_taken_again() -> None:
    """The next waits until something new has come."""
    inbox = Inbox()
    inbox.append(events(1))
    await inbox.take()
    waiting = asyncio.ensure_future(inbox.take())
    await asyncio.sleep(0)
    inbox.append([])
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.put(QUOTE, decode, 7, RECEIVED)
    assert await waiting == [state(QUOTE, 7)]


async def test_events_are_bounded() -> None:
    """What doesn't fit is left out as a whole; states always fit, and room comes by taking."""
    inbox = Inbox()
    [event] = events(1)
    assert inbox.append([event] * (MAX_EVENTS - 1))
    assert not inbox.append([event] * 2)
    assert inbox.append([event])
    assert not inbox.append([event])
    assert inbox.append([])
    inbox.put(QUOTE, decode, 1, RECEIVED)
    assert len(await inbox.take()) == MAX_EVENTS + 1
    assert inbox.append([event])


async def test_what_holds_nothing_is_not_published() -> None:
    """The rest is."""
    inbox = Inbox()
    inbox.put(AAPL, decode, 0, RECEIVED)
    inbox.put(QUOTE, decode, 1, RECEIVED)
    assert await inbox.take() == [state(QUOTE, 1)]


async def test_what_cannot_be_decoded_takes_nothing_else_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is complained of once for each channel."""
    caplog.set_level(logging.ERROR)
    inbox = Inbox()
    for _ in range(3):
        inbox.append(events(1))
        for topic in (AAPL, TSLA, QUOTE):
            inbox.put(topic, decode, -1, RECEIVED)
        inbox.put(TRADES, decode, 2, RECEIVED)
        assert await inbox.take() == [*events(1), state(TRADES, 2)]
    assert [record.getMessage() for record in caplog.records] == [
        "orderbook:US.AAPL of OpenD can't be decoded",
        "quote:US.AAPL of OpenD can't be decoded",
    ]
