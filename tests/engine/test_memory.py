from bookcast.engine.memory import MemoryEngine
from bookcast.model.market_data import Book
from bookcast.model.updates import Publication
from tests.support import AAPL


async def test_a_new_engine_begins_a_new_epoch() -> None:
    """Numbers of a process that ended mean nothing in the next one."""
    publication = Publication(AAPL, Book((), ()))
    epochs = {(await MemoryEngine().publish([publication]))[0].epoch for _ in range(20)}
    assert len(epochs) == 20


async def test_an_update_carries_the_time_it_came() -> None:
    """The server's time is in milliseconds since 1970."""
    engine = MemoryEngine(clock=lambda: 1.5)
    await engine.publish([Publication(AAPL, Book((), ()))])
    snapshot = await engine.snapshot(AAPL)
    assert snapshot is not None
    assert snapshot.server_ms == 1500
