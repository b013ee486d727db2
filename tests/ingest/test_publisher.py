import logging
from collections.abc import Sequence

import msgspec
import pytest

from bookcast.engine.memory import MemoryEngine
from bookcast.errors import InvalidInput
from bookcast.hub.hub import Hub
from bookcast.ingest.publication import Rules
from bookcast.ingest.publisher import Publisher
from bookcast.ingest.schemas import PublishedUpdate
from bookcast.model.updates import Position
from tests.support import ManualTimer, NumberRenderer


def publisher(max_topics: int = 0) -> Publisher:
    timer, engine = ManualTimer(), MemoryEngine(epoch="e")
    hub = Hub(
        renderer=NumberRenderer(),
        now=timer.clock,
        clock=timer.clock,
        call_later=timer.call_later,
    )
    return Publisher(
        engine=engine, hub=hub, rules=Rules("US"), max_topics=max_topics, now=timer.clock
    )


async def test_a_publication_is_told_its_place(caplog: pytest.LogCaptureFixture) -> None:
    """And the debug log where it went."""
    caplog.set_level(logging.DEBUG)
    published = await publisher().publish("orderbook", "AAPL", {"bids": [], "asks": []})
    assert (published.symbol, published.epoch, published.seq, published.subscribers) == (
        "AAPL",
        "e",
        1,
        0,
    )
    assert "orderbook:US.AAPL seq 1 published, 0 want it here" in caplog.text
    assert "nobody wants it now" in caplog.text


async def test_a_refused_publication_is_counted_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With the reason."""
    caplog.set_level(logging.DEBUG, "bookcast.ingest.publisher")
    refusing = publisher()
    with pytest.raises(InvalidInput):
        await refusing.publish("orderbook", "AAPL", {"bids": []})
    assert refusing.refused == 1
    assert "publication refused: asks is missing" in caplog.text


async def test_updates_published_together_go_well_or_wrong_each_by_itself() -> None:
    """In their order, with the place of each that went well."""
    refusing = publisher()
    outcomes = await refusing.publish_all(
        [
            PublishedUpdate(channel="quote", symbol="AAPL", data=msgspec.Raw(b'{"last":1}')),
            PublishedUpdate(channel="quote", symbol="AAPL", data=msgspec.Raw(b'{"last":"x"}')),
            PublishedUpdate(channel="candles", symbol="AAPL", data=msgspec.Raw(b"{}"), period="7m"),
            PublishedUpdate(channel="quote", symbol="AAPL", data=msgspec.Raw(b'{"last":2}')),
        ]
    )
    places = [outcome.seq for outcome in outcomes if isinstance(outcome, Position)]
    faults = [outcome.path for outcome in outcomes if isinstance(outcome, InvalidInput)]
    assert [type(outcome) for outcome in outcomes] == [
        Position,
        InvalidInput,
        InvalidInput,
        Position,
    ]
    assert (places, faults, refusing.refused) == ([1, 2], ["last", "period"], 2)
    assert await refusing.publish_all([]) == []


async def test_what_is_sent_again_under_its_key_gets_the_first_answer() -> None:
    """Whether it came alone or with others, and whatever came between; of each principal apart."""
    one = publisher()
    data = msgspec.Raw(b'{"last":1}')
    first = await one.publish("quote", "AAPL", bytes(data), key="k", principal="p")
    await one.publish("quote", "AAPL", {"last": 2})
    assert await one.publish("quote", "US.AAPL", {"last": 1}, key="k", principal="p") == (
        msgspec.structs.replace(first, symbol="US.AAPL")
    )
    again = PublishedUpdate(channel="quote", symbol="AAPL", data=data, idempotency_key="k")
    assert await one.publish_all([again, again], principal="p") == [Position("e", 1)] * 2
    assert await one.publish_all([again], principal="other") == [Position("e", 3)]


async def test_other_data_under_a_used_key_are_refused() -> None:
    """That is told, and counted; what came with them is published."""
    one = publisher()
    await one.publish("quote", "AAPL", {"last": 1}, key="k")
    with pytest.raises(InvalidInput, match="used before for other data") as caught:
        await one.publish("quote", "AAPL", {"last": 2}, key="k")
    assert (caught.value.code, caught.value.path) == ("idempotency_conflict", "Idempotency-Key")
    outcomes = await one.publish_all(
        [
            PublishedUpdate(
                channel="quote", symbol="AAPL", data=msgspec.Raw(b'{"last":3}'), idempotency_key="k"
            ),
            PublishedUpdate(
                channel="quote", symbol="AAPL", data=msgspec.Raw(b'{"last":4}'), idempotency_key=""
            ),
            PublishedUpdate(
                channel="quote",
                symbol="AAPL",
                data=msgspec.Raw(b'{"last":5}'),
                idempotency_key="k2",
            ),
        ]
    )
    codes = [one.code if isinstance(one, InvalidInput) else one for one in outcomes]
    assert codes == ["idempotency_conflict", "invalid_message", Position("e", 2)]
    assert one.refused == 3


async def test_data_that_are_wrong_use_up_no_key() -> None:
    """The publisher mends them, and sends them under the same one."""
    one = publisher()
    with pytest.raises(InvalidInput):
        await one.publish("quote", "AAPL", {"last": "x"}, key="k")
    assert (await one.publish("quote", "AAPL", {"last": 1}, key="k")).seq == 1


BOOK = msgspec.Raw(b'{"bids": [], "asks": []}')


def books(*symbols: str) -> list[PublishedUpdate]:
    return [PublishedUpdate(channel="orderbook", symbol=symbol, data=BOOK) for symbol in symbols]


def codes(outcomes: Sequence[Position | InvalidInput]) -> list[str]:
    return [one.code if isinstance(one, InvalidInput) else "ok" for one in outcomes]


async def test_one_topic_too_many_is_refused_and_the_others_go_on() -> None:
    """Also in one batch; channels and periods of a symbol are topics of their own."""
    full = publisher(max_topics=3)
    assert codes(await full.publish_all(books("A", "B"))) == ["ok"] * 2
    outcomes = await full.publish_all(books("A", "C", "D", "E", "C", "D"))
    assert codes(outcomes) == [
        *("ok", "ok", "too_many_topics", "too_many_topics", "ok", "too_many_topics")
    ]
    with pytest.raises(InvalidInput, match="MAX_PUBLISHED_TOPICS"):
        await full.publish("quote", "A", {"last": 1})
    assert (await full.publish("orderbook", "A", {"bids": [], "asks": []})).seq == 3
    assert full.refused == 4


async def test_without_a_limit_there_may_be_any_number() -> None:
    """Nothing is counted."""
    free = publisher()
    outcomes = await free.publish_all(books(*(f"S{number}" for number in range(500))))
    assert codes(outcomes) == ["ok"] * 500
