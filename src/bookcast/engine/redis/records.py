"""Encodes updates for Redis and decodes them: the records, and the messages of pub/sub."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from bookcast.backplane.formats import NEWEST, data_for
from bookcast.backplane.names import topic_of
from bookcast.model.market_data import (
    Book,
    Brokers,
    Candle,
    DetailedLevel,
    Level,
    Quote,
    TimePoint,
    Trades,
)
from bookcast.model.numbers import with_whole
from bookcast.model.topics import Channel, Topic
from bookcast.model.updates import Position, Publication, Update


class _Record(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A publication without its topic. ``data`` is decoded by the type of the topic's channel."""

    data: msgspec.Raw
    server_ms: float
    exchange_ms: float | None = None
    feed_ms: float | None = None
    past: bool = False
    restored: bool = False


class _WrittenBook(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A book. ``detailed``: some levels have single orders. ``published``: JSON as it was sent."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    published: bytes | None = None
    detailed: bool = False


class _DetailedBook(msgspec.Struct, frozen=True, array_like=True):
    bids: tuple[DetailedLevel, ...]
    asks: tuple[DetailedLevel, ...]


_encode: Final = msgspec.msgpack.Encoder().encode
_record: Final = msgspec.msgpack.Decoder(_Record)
_book: Final = msgspec.msgpack.Decoder(_WrittenBook)
_detailed: Final = msgspec.msgpack.Decoder(_DetailedBook)
_decoders: Final[dict[Channel, msgspec.msgpack.Decoder[Any]]] = {
    "quote": msgspec.msgpack.Decoder(Quote),
    "trades": msgspec.msgpack.Decoder(Trades),
    "candles": msgspec.msgpack.Decoder(Candle),
    "brokers": msgspec.msgpack.Decoder(Brokers),
    "timeframe": msgspec.msgpack.Decoder(TimePoint),
}


def encode(
    publication: Publication, server_ms: float, *, restored: bool = False, form: int = NEWEST
) -> bytes:
    """Return a publication as bytes, without its topic and position.

    Args:
        publication: what to encode.
        server_ms: when it arrived, in ms since 1970.
        restored: it is the topic's first update since Redis was away; see :class:`Update`.
        form: the format; see :mod:`bookcast.backplane.formats`.
    """
    data = data_for(publication.data, form)
    written: Any = data
    if isinstance(data, Book):
        # Levels as the source wrote them, so that a node of any release derives the same book.
        bids, asks = data.as_written()
        kinds = {*map(type, bids), *map(type, asks)}
        written = _WrittenBook(
            bids,
            asks,
            bytes(data.published) if data.published is not None else None,
            DetailedLevel in kinds,
        )
    return _encode(
        _Record(
            msgspec.Raw(_encode(written)),
            server_ms,
            publication.exchange_ms,
            publication.feed_ms,
            publication.backfill,
            restored,
        )
    )


def decode(topic: Topic, position: Position, text: bytes) -> Update:
    """Return the update that the bytes encode.

    Raises:
        msgspec.MsgspecError: when the bytes aren't a record that this release can read.
    """
    record = _record.decode(text)
    data = _read_book(record.data) if topic.channel == "orderbook" else None
    return Update(
        topic,
        position,
        data if data is not None else with_whole(_decoders[topic.channel].decode(record.data)),
        record.server_ms,
        record.exchange_ms,
        record.feed_ms,
        record.past,
        record.restored,
    )


class Unreadable(msgspec.Struct, frozen=True):
    """The position of an update that this node can't decode. ``why`` is the decoder's reason."""

    topic: Topic
    position: Position
    why: str


def read(topic: Topic, position: Position, text: bytes) -> Update | Unreadable:
    """Return the decoded update, or :class:`Unreadable` where it can't be decoded."""
    try:
        return decode(topic, position, text)
    except Exception as error:  # noqa: BLE001 - other releases may write anything
        return Unreadable(topic, position, str(error) or type(error).__name__)


def _read_book(text: msgspec.Raw) -> Book:
    written = _book.decode(text)
    published = msgspec.Raw(written.published) if written.published is not None else None
    if written.detailed:
        detailed = _detailed.decode(text)
        return Book.of(_levels(detailed.bids), _levels(detailed.asks), published)
    return Book.of(written.bids, written.asks, published)


def _levels(levels: tuple[DetailedLevel, ...]) -> tuple[Level, ...]:
    """Return levels without single orders as plain levels, as they were before encoding."""
    return tuple(
        level if level.details else Level(level.price, level.size, level.orders) for level in levels
    )


class Run(NamedTuple):
    """Consecutive updates of one topic, published together. ``last``: the last position."""

    topic: Topic
    last: Position
    records: Sequence[bytes]

    def updates(self) -> list[Update | Unreadable]:
        """Return the decoded updates, oldest first."""
        epoch, first = self.last.epoch, self.last.seq - len(self.records) + 1
        return [
            read(self.topic, Position(epoch, first + index), text)
            for index, text in enumerate(self.records)
        ]


def read_run(message: bytes) -> Run:
    """Parse a pub/sub message of ``publish.lua``: a header line, then the records.

    Raises:
        ValueError: when the message has another form.
    """
    head, _, body = message.partition(b"\n")
    name, epoch, seq, *lengths = head.decode().split("\t")
    records, start = [], 0
    for length in map(int, lengths):
        records.append(body[start : start + length])
        start += length
    return Run(topic_of(name), Position(epoch, int(seq)), records)
