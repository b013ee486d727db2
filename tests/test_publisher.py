import logging

import pytest

from bookcast.app import render
from bookcast.engine.memory import MemoryEngine
from bookcast.errors import InvalidInput
from bookcast.hub.hub import Hub
from bookcast.publisher import Publisher
from tests.support import ManualTimer


def publisher() -> Publisher:
    timer, engine = ManualTimer(), MemoryEngine(epoch="e")
    hub = Hub(
        render=render,
        clock=timer.clock,
        call_later=timer.call_later,
        want=engine.want,
        release=engine.release,
    )
    return Publisher(engine=engine, hub=hub, default_market="US")


async def test_a_publication_is_told_its_place(caplog: pytest.LogCaptureFixture) -> None:
    """And the debug log where it went."""
    caplog.set_level(logging.DEBUG)
    published = await publisher().orderbook("AAPL", {"bids": [], "asks": []})
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
    caplog.set_level(logging.INFO)
    refusing = publisher()
    with pytest.raises(InvalidInput):
        await refusing.orderbook("AAPL", {"bids": []})
    assert refusing.refused == 1
    assert "publication refused: asks is missing" in caplog.text
