"""What travels as bytes: nothing is lost on the way, whatever it is."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bookcast.backplane.formats import NEWEST, OLDEST
from bookcast.backplane.names import name_of
from bookcast.engine.redis.records import Run, Unreadable, decode, encode, read, read_run
from bookcast.model.market_data import (
    MAX_NUMBER,
    Book,
    Broker,
    Brokers,
    Candle,
    Data,
    DetailedLevel,
    ExtendedQuote,
    FutureFigures,
    Level,
    OptionFigures,
    Order,
    Quote,
    Sides,
    TimePoint,
    Trade,
    Trades,
    WarrantFigures,
)
from bookcast.model.numbers import with_whole
from bookcast.model.topics import CHANNELS, PERIODS, Channel, Symbol, Topic, parse_symbol
from bookcast.model.updates import Position, Publication, Update
from tests.budget import examples
from tests.support import AAPL, TRADES, trades

numbers = st.one_of(
    st.integers(-int(MAX_NUMBER), int(MAX_NUMBER)),
    st.floats(-MAX_NUMBER, MAX_NUMBER, allow_nan=False),
)
some = st.none() | numbers
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ids = st.integers(-(2**63), 2**64 - 1) | texts
counts = st.none() | st.integers(0, int(MAX_NUMBER))

levels = st.builds(Level, numbers, numbers, counts)
detailed = st.builds(
    DetailedLevel,
    numbers,
    numbers,
    counts,
    st.lists(st.builds(Order, ids, numbers), min_size=1, max_size=3).map(tuple),
)
sides = st.lists(levels | detailed, max_size=3).map(tuple)
published = st.dictionaries(texts, texts | numbers, max_size=3).map(
    lambda value: msgspec.Raw(json.dumps(value).encode())
)
extended = st.builds(ExtendedQuote, last=some, high=some, volume=some, turnover=some, change=some)
brokers = st.builds(Broker, ids, texts, st.integers(1, 1000), st.none() | ids, some)
queues = st.lists(brokers, max_size=3).map(tuple)
data: dict[Channel, st.SearchStrategy[Data]] = {
    "orderbook": st.builds(Book, sides, sides, st.none() | published),
    "quote": st.builds(
        Quote,
        last=some,
        open=some,
        volume=some,
        turnover=some,
        bid=some,
        suspended=st.none() | st.booleans(),
        session=st.none() | st.sampled_from(["pre", "regular", "after", "overnight"]),
        pre=st.none() | extended,
        overnight=st.none() | extended,
        security_status=st.none() | texts,
        option=st.none() | st.builds(OptionFigures, delta=some, days_left=counts),
        future=st.none() | st.builds(FutureFigures, oi_change=some),
        warrant=st.none() | st.builds(WarrantFigures, iv=some),
    ),
    "trades": st.builds(
        Trades,
        st.lists(
            st.builds(
                Trade,
                numbers,
                numbers,
                st.sampled_from(["buy", "sell", "neutral"]),
                numbers,
                st.none() | ids,
                st.booleans(),
                st.none() | texts,
                st.none() | st.integers(-(2**31), 2**31 - 1),
                st.booleans(),
                some,
            ),
            min_size=1,
            max_size=5,
        ).map(tuple),
    ),
    "candles": st.builds(
        Candle,
        time=numbers,
        open=numbers,
        high=numbers,
        low=numbers,
        close=numbers,
        volume=numbers,
        turnover=some,
        final=st.booleans(),
        prev_close=some,
        revised=st.booleans(),
    ),
    "brokers": st.builds(Brokers, queues, queues),
    "timeframe": st.builds(
        TimePoint, time=numbers, price=numbers, average=some, volume=some, turnover=some
    ),
}
symbols = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]) | st.sampled_from(":{}.\\ é漢"),
    min_size=1,
    max_size=20,
).filter(lambda text: text.isprintable() and text == text.strip())


@st.composite
def topics(draw: st.DrawFn) -> Topic:
    chosen = draw(st.sampled_from(CHANNELS))
    variant = ""
    if chosen == "candles":
        variant = draw(st.sampled_from(PERIODS))
    elif chosen == "orderbook":
        variant = draw(st.sampled_from(["", "odd"]))
    return Topic(chosen, parse_symbol(draw(symbols) + "x", "US"), variant)


@st.composite
def publications(draw: st.DrawFn, topic: Topic | None = None) -> Publication:
    chosen = topic or draw(topics())
    milliseconds = st.none() | st.floats(0, 2e12)
    return Publication(
        chosen,
        draw(data[chosen.channel]),
        draw(milliseconds),
        draw(milliseconds),
        backfill=draw(st.booleans()),
    )


def as_update(
    publication: Publication, position: Position, server_ms: float, *, restored: bool = False
) -> Update:
    topic, said, exchange_ms, feed_ms, past, *_ = publication
    if isinstance(said, Book):
        said = Book.of(said.bids, said.asks, said.published)
    else:
        said = with_whole(said)
    return Update(topic, position, said, server_ms, exchange_ms, feed_ms, past, restored)


def exactly(update: Update) -> tuple[Update, str]:
    """Give something that differs where numbers are equal and their types aren't."""
    return update, re.sub("Raw object at 0x[0-9a-f]+", "Raw", repr(update))


@pytest.mark.no_cover
@given(publications(), st.floats(0, 2e12), st.booleans())
@settings(max_examples=examples(300), deadline=None)
def test_every_update_survives(publication: Publication, server_ms: float, restored: bool) -> None:
    """Of every channel, with every field; whole numbers are integers, whatever wrote them."""
    position = Position("epoch", 7)
    text = encode(publication, server_ms, restored=restored)
    found = decode(publication.topic, position, text)
    expected = as_update(publication, position, server_ms, restored=restored)
    assert exactly(found) == exactly(expected)


@pytest.mark.parametrize("form", [OLDEST, NEWEST])
def test_a_feeds_book_is_written_as_the_feed_wrote_it(form: int) -> None:
    """An earlier release shows base clients what it showed before; this one writes it again so."""
    sides = (Level(134.0, 100, 3), Level(133.9, 5.0)), (Level(134.2, 7),)
    text = encode(Publication(AAPL, Book.of(*sides)), 1000.5, form=form)
    assert repr(msgspec.msgpack.decode(text)[0]) == (
        "[[[134.0, 100, 3], [133.9, 5.0, None]], [[134.2, 7, None]], None, False]"
    )
    found = decode(AAPL, Position("e", 1), text)
    assert isinstance(found.data, Book)
    assert repr(found.data.bids[0]) == "Level(price=134, size=100, orders=3)"
    assert repr(found.data.as_written()) == repr(Sides(*sides))
    again = Publication(AAPL, found.data)
    assert encode(again, 1000.5, form=form) == text


def message_of(run: Run) -> bytes:
    """Write what ``publish.lua`` does."""
    lengths = "\t".join(str(len(record)) for record in run.records)
    head = f"{name_of(run.topic)}\t{run.last.epoch}\t{run.last.seq}\t{lengths}\n"
    return head.encode() + b"".join(run.records)


@given(topics(), st.data(), st.integers(1, 5), st.integers(0, 2**53))
@settings(max_examples=examples(60), deadline=None)
def test_a_message_tells_consecutive_updates(
    topic: Topic, drawn: st.DataObject, count: int, before: int
) -> None:
    """Whatever bytes are in them."""
    said = [drawn.draw(publications(topic)) for _ in range(count)]
    run = Run(topic, Position("e-1", before + count), [encode(one, 1.5) for one in said])
    found = read_run(message_of(run))
    assert found == run
    assert found.updates() == [
        as_update(one, Position("e-1", before + number), 1.5) for number, one in enumerate(said, 1)
    ]


def test_what_is_no_record_is_refused() -> None:
    """Also what belongs to another channel."""
    position = Position("e", 1)
    with pytest.raises(msgspec.MsgspecError):
        decode(AAPL, position, b"nonsense")
    with pytest.raises(msgspec.MsgspecError):
        decode(AAPL, position, encode(Publication(TRADES, trades(1)), 0.0))
    for message in (b"", b"name\tepoch\tx\n", b"orderbook::US.AAPL\te\n", b"\xff\t\t1\n"):
        with pytest.raises(ValueError):
            read_run(message)


A = Symbol("US.A")
BOOKS = Topic("orderbook", A)
GOLDEN: list[tuple[Publication, str]] = [
    (
        Publication(BOOKS, Book((Level(1, 2), Level(0.5, 3, 4)), (Level(2, 1),))),
        "969492930102c093cb3fe0000000000000030491930201c0c0c2cb408f440000000000c0c0c2c2",
    ),
    (
        Publication(BOOKS, Book((DetailedLevel(1, 2, 1, (Order(7, 2),)),), ()), 5.5, 6.5),
        "969491940102019192070290c0c3cb408f440000000000cb4016000000000000cb401a000000000000c2c2",
    ),
    (
        Publication(BOOKS, Book((Level(1, 2),), (), msgspec.Raw(b'{"bids":[[1,2]]}'))),
        "969491930102c090c4107b2262696473223a5b5b312c325d5d7dc2cb408f440000000000c0c0c2c2",
    ),
    (
        Publication(
            Topic("quote", A),
            Quote(last=1, volume=2.5, suspended=False, session="pre", pre=ExtendedQuote(last=3)),
        ),
        (
            "9685a46c61737401a6766f6c756d65cb4004000000000000a973757370656e646564c2a773657373696f6ea3"
            "707265a370726581a46c61737403cb408f440000000000c0c0c2c2"
        ),
    ),
    (
        Publication(
            Topic("trades", A),
            Trades((Trade(1, 2, "buy", 3), Trade(1.5, 2, "neutral", 3, "x", backfill=True))),
            1.5,
            backfill=True,
        ),
        (
            "9681a67472616465739284a5707269636501a473697a6502a473696465a3627579a974696d657374616d7003"
            "86a57072696365cb3ff8000000000000a473697a6502a473696465a76e65757472616ca974696d657374616d"
            "7003a26964a178a86261636b66696c6cc3cb408f440000000000cb3ff8000000000000c0c3c2"
        ),
    ),
    (
        Publication(
            Topic("candles", A, "1m"),
            Candle(time=1, open=2, high=3, low=1, close=2, volume=9, final=True),
        ),
        (
            "9687a474696d6501a46f70656e02a46869676803a36c6f7701a5636c6f736502a6766f6c756d6509a566696e"
            "616cc3cb408f440000000000c0c0c2c2"
        ),
    ),
    (
        Publication(Topic("brokers", A), Brokers((Broker(1, "one", 1),), (Broker("b", "two", 2),))),
        (
            "9682a4626964739183a2696401a46e616d65a36f6e65a3706f7301a461736b739183a26964a162a46e616d65"
            "a374776fa3706f7302cb408f440000000000c0c0c2c2"
        ),
    ),
    (
        Publication(Topic("timeframe", A), TimePoint(time=1, price=2, average=1.5)),
        (
            "9683a474696d6501a5707269636502a761766572616765cb3ff8000000000000cb408f440000000000c0c0"
            "c2c2"
        ),
    ),
]
"""What the release before the one that announces formats writes."""


@pytest.mark.parametrize(("publication", "written"), GOLDEN)
@pytest.mark.parametrize("form", [OLDEST, NEWEST])
def test_records_are_the_bytes_that_earlier_releases_know(
    publication: Publication, written: str, form: int
) -> None:
    """In every format, as long as they hold nothing that is newer.

    A map's length may take more bytes than it needs, when the release knows more fields.
    """
    unpacked = msgspec.msgpack.decode
    assert unpacked(encode(publication, 1000.5, form=form)) == unpacked(bytes.fromhex(written))
    found = decode(publication.topic, Position("e", 1), bytes.fromhex(written))
    assert exactly(found) == exactly(as_update(publication, Position("e", 1), 1000.5))


def grown(value: object) -> object:
    """Append something to every array of a record, and a field to every map."""
    if isinstance(value, dict):
        return {**{key: grown(one) for key, one in value.items()}, "new": {"newer": [1]}}
    if isinstance(value, list):
        return [*map(grown, value)]
    return value


@pytest.mark.parametrize(("publication", "written"), GOLDEN)
def test_fields_that_a_later_release_adds_are_ignored(
    publication: Publication, written: str
) -> None:
    """At the end of a record and of its book, and in everything that has names."""
    record = msgspec.msgpack.decode(bytes.fromhex(written))
    data, *rest = record
    if publication.topic.channel == "orderbook":
        data = [*data, *[None] * (4 - len(data)), "new"]
    later = msgspec.msgpack.encode([grown(data), *rest, "new", {"newer": 1}])
    position = Position("e", 1)
    assert exactly(decode(publication.topic, position, later)) == exactly(
        as_update(publication, position, 1000.5)
    )


def test_a_quote_of_a_session_without_a_word_in_the_oldest_format_has_none_there() -> None:
    """The rest of it stays."""
    quote = Publication(Topic("quote", A), Quote(last=1, session="night"))
    text = encode(quote, 1000.5, form=OLDEST)
    assert decode(quote.topic, Position("e", 1), text).data == Quote(last=1)


@pytest.mark.parametrize("text", [b"", b"x", b"\xc1", b"\x96", b"\x91" * 3000, b"\xff" * 9])
def test_what_cant_be_read_has_a_place_all_the_same(text: bytes) -> None:
    """Also what belongs to another channel."""
    position = Position("e", 3)
    for written in (text, encode(Publication(TRADES, trades(1)), 0.0)):
        found = read(AAPL, position, written)
        assert isinstance(found, Unreadable)
        assert (found.topic, found.position) == (AAPL, position)
        assert found.why
