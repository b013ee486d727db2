import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bookcast.ingest.book import parse_book
from bookcast.model.market_data import Book, Level
from bookcast.model.updates import Position, Update
from bookcast.protocol.base.book import as_published, encode_update, with_whole_numbers
from tests.releases import PREVIOUS, unpack
from tests.support import AAPL, ROOT


def test_a_book_of_our_own_feeds_has_futus_level_shape() -> None:
    """Price, volume, orders; and the moment the exchange saw it."""
    book = Book((Level(189.5, 300, 4),), (Level(189.6, 2.5),))
    times: dict[str, Any] = {
        "server_ms": 1_700_000_000_456,
        "exchange_ms": 1_700_000_000_123,
    }
    shown = Update(AAPL, Position("e", 1), book, **times)
    assert json.loads(encode_update("AAPL", shown)) == {
        "type": "orderbook_update",
        "symbol": "AAPL",
        "data": {
            "bids": [{"price": 189.5, "volume": 300, "orders": 4}],
            "asks": [{"price": 189.6, "volume": 2.5}],
            "timestamp": "2023-11-14T22:13:20.123Z",
        },
        "timestamp": "2023-11-14T22:13:20.456Z",
    }


def test_a_published_book_goes_out_as_it_came() -> None:
    """Its bytes are those of the publication."""
    raw = msgspec.Raw(b'{"bids":[],"asks":[],"mine":1}')
    shown = Update(AAPL, Position("e", 1), Book((), (), published=raw), server_ms=0)
    assert b'"data":{"bids":[],"asks":[],"mine":1}' in encode_update("AAPL", shown)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b'{"bids":[[134.0,5.0]],"asks":[]}', b'{"bids":[[134,5]],"asks":[]}'),
        (
            b'{"mine":1.0,"bids":[[1e2,5,2.0],[99.50,1.25]],"asks":[[101.0,0.0],[102.0,3.0,null]]}',
            b'{"mine":1.0,"bids":[[100,5,2],[99.5,1.25]],"asks":[[102,3,null]]}',
        ),
        (
            (
                b'{"asks":[],"bids":[{"x":1.0,"price":7.0,"volume":1.0,"orders":3.0},'
                b'{"price":6.0,"size":2.0,"volume":9.0}]}'
            ),
            (
                b'{"asks":[],"bids":[{"x":1.0,"price":7,"volume":1,"orders":3},'
                b'{"price":6,"size":2,"volume":9.0}]}'
            ),
        ),
    ],
)
def test_whole_numbers_of_a_published_book_are_read_as_integers(
    written: bytes, read: bytes
) -> None:
    """In the publisher's shape; base clients get every digit."""
    shown = Update(AAPL, Position("e", 1), parse_book(written).book, 0.0)
    assert bytes(with_whole_numbers(shown)) == read
    if b"101.0" not in written:
        assert bytes(as_published(shown)) == written
    cut = json.loads(bytes(with_whole_numbers(shown, 1)))
    assert (len(cut["bids"]), cut["bids"][0]) == (1, json.loads(read)["bids"][0])


def test_whole_numbers_of_a_feeds_book_are_read_as_integers() -> None:
    """Base clients get what the feed wrote."""
    book = Book.of((Level(134.0, 100, 3), Level(133.8, 5.0)), (Level(134.2, 7),))
    shown = Update(AAPL, Position("e", 1), book, 0.0)
    assert b'{"price":134,"volume":100,"orders":3},{"price":133.8,"volume":5}' in bytes(
        with_whole_numbers(shown)
    )
    assert b'{"price":134.0,"volume":100,"orders":3},{"price":133.8,"volume":5.0}' in bytes(
        as_published(shown)
    )


BOOKS = """
import json, random, sys
from bookcast.feeds.futu import decode
from bookcast.feeds.futu.schema import messages
from bookcast.feeds.simulated_book import SimulatedBook
try:
    from bookcast.engine.redis.records import decode as read, encode as write
    from bookcast.ingest.book import parse_book
    from bookcast.model.topics import Topic
    from bookcast.model.updates import Position, Publication, Update
    from bookcast.protocol.base.book import encode_update
except ImportError:  # the release before
    from bookcast.engine.records import decode as read, encode as write
    from bookcast.model import Position, Publication, Topic, Update
    from bookcast.protocol.book import parse_book
    from bookcast.protocol.codec import encode_update

TOPIC = Topic("orderbook", "US.AAPL")

def pushed(rng, tick, crypto):
    s2c = messages("Qot_UpdateOrderBook").S2C()
    s2c.security.market, s2c.security.code = 11, "AAPL"
    middle = rng.randrange(200, 2000)
    for side, direction in ((s2c.orderBookBidList, -1), (s2c.orderBookAskList, 1)):
        for step in range(1, 11):
            level = side.add(price=round((middle + direction * step) * tick, 6), orederCount=step)
            level.volume = rng.randrange(1, 9) * 100
            if crypto:
                level.hpVolume = rng.choice([0.25, 2.0, 1e-7, 350.5, 1e3])
    return decode.book(s2c)

def snapshot(bid, ask):
    basic = messages("Qot_GetSecuritySnapshot").SnapshotBasicData()
    basic.bidPrice, basic.askPrice, basic.bidVol, basic.askVol = bid, ask, 100, 200
    return decode.snapshot_book(basic)

def books():
    rng = random.Random(7)
    for tick in (0.001, 0.005, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0):
        for crypto in (False, True):
            yield pushed(rng, tick, crypto)
    yield from (snapshot(134.0, 134.2), snapshot(0.5, 1e6))
    for symbol in ("HK.00700", "JP.7203", "US.AAPL", "HK.00001"):
        simulated = SimulatedBook(symbol, 1)
        for _ in range(20):
            simulated.step(0.0)
            yield simulated.book()
    for text in (
        b'{"bids":[[134.0,5.0],[1.30e2,5,2]],"asks":[{"price":135.00,"volume":1.0,"x":[1.0]}]}',
        b'{"bids":[[1e2,0.0],[99.0,1]],"asks":[],"timestamp":"t","mine":-0.0}',
    ):
        yield parse_book(text).book

def base(data):
    update = Update(TOPIC, Position("e", 1), data, 1767225600000.0, None, 1767225600000.5)
    return [encode_update("AAPL", update, depth).decode() for depth in (None, 2)]

def written(data):
    return write(Publication(TOPIC, data, None, 1767225600000.5), 1767225600000.0).hex()

records = json.load(sys.stdin)
made = list(books())
print(json.dumps({
    "base": [base(one) for one in made],
    "records": [written(one) for one in made],
    "read": [base(read(TOPIC, Position("e", 1), bytes.fromhex(one)).data) for one in records],
}))
"""
"""Shows base clients books of feeds and of publishers, and those of records from standard input."""


def show_books(records: list[str], source: Path) -> dict[str, list[Any]]:
    done = subprocess.run(
        [sys.executable, "-c", BOOKS],
        input=json.dumps(records),
        env=os.environ | {"PYTHONPATH": str(source)},
        capture_output=True,
        text=True,
        check=True,
    )
    shown: dict[str, list[Any]] = json.loads(done.stdout)
    return shown


def test_base_clients_get_every_byte_that_they_got_of_the_release_before(tmp_path: Path) -> None:
    """Of feeds and publishers, at the node that has the feed and at others of either release."""
    before = show_books([], unpack(PREVIOUS, tmp_path))
    now = show_books(before["records"], ROOT / "src")
    assert any('"price":134.0,' in text for text, _ in now["base"])
    assert now["base"] == before["base"]
    assert now["read"] == before["base"]
    assert show_books(now["records"], tmp_path / "src")["read"] == before["base"]
