"""What travels as bytes: nothing is lost on the way, whatever it is."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bookcast.engine.records import (
    SHARDS,
    Run,
    decode,
    encode,
    name_of,
    read_run,
    shard_of,
    topic_of,
)
from bookcast.model import (
    CHANNELS,
    MAX_NUMBER,
    PERIODS,
    Book,
    Broker,
    Brokers,
    Candle,
    Channel,
    Data,
    DetailedLevel,
    ExtendedQuote,
    FutureFigures,
    Level,
    OptionFigures,
    Order,
    Position,
    Publication,
    Quote,
    Symbol,
    TimePoint,
    Topic,
    Trade,
    Trades,
    Update,
    WarrantFigures,
    parse_symbol,
)
from tests.support import AAPL, CANDLES, TRADES, trades

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
        past=draw(st.booleans()),
    )


def as_update(
    publication: Publication, position: Position, server_ms: float, *, restored: bool = False
) -> Update:
    topic, said, exchange_ms, feed_ms, past, _ = publication
    return Update(topic, position, said, server_ms, exchange_ms, feed_ms, past, restored)


def exactly(update: Update) -> tuple[Update, str]:
    """Give something that differs where numbers are equal and their types aren't."""
    return update, re.sub("Raw object at 0x[0-9a-f]+", "Raw", repr(update))


@given(publications(), st.floats(0, 2e12), st.booleans())
@settings(max_examples=300, deadline=None)
def test_every_update_survives(publication: Publication, server_ms: float, restored: bool) -> None:
    """Of every channel, with every field, and whole numbers stay whole."""
    position = Position("epoch", 7)
    text = encode(publication, server_ms, restored=restored)
    found = decode(publication.topic, position, text)
    expected = as_update(publication, position, server_ms, restored=restored)
    assert exactly(found) == exactly(expected)


@given(topics())
@settings(max_examples=150, deadline=None)
def test_names_of_topics_can_be_read_again(topic: Topic) -> None:
    """A symbol may contain whatever can be printed; all of them stay apart."""
    name = name_of(topic)
    assert topic_of(name) == topic
    assert not {"\t", "\n"} & set(name)
    assert 0 <= shard_of(topic) < SHARDS


def message_of(run: Run) -> bytes:
    """Write what ``publish.lua`` does."""
    lengths = "\t".join(str(len(record)) for record in run.records)
    head = f"{name_of(run.topic)}\t{run.last.epoch}\t{run.last.seq}\t{lengths}\n"
    return head.encode() + b"".join(run.records)


@given(topics(), st.data(), st.integers(1, 5), st.integers(0, 2**53))
@settings(max_examples=60, deadline=None)
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


def test_variants_of_a_symbol_are_topics_of_their_own() -> None:
    """Also where a symbol looks like a variant."""
    odd = AAPL._replace(variant="odd")
    names = [name_of(one) for one in (AAPL, odd, TRADES, CANDLES)]
    assert len(set(names)) == 4
    tricky = Topic("candles", Symbol("1m:US.AAPL"), "1m")
    assert topic_of(name_of(tricky)) == tricky


def test_shards_are_all_used() -> None:
    """Many symbols spread over them."""
    topics = [Topic("orderbook", Symbol(f"US.S{number}")) for number in range(1000)]
    assert {shard_of(topic) for topic in topics} == set(range(SHARDS))


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
