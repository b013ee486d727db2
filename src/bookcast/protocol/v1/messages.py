"""The messages of ``bookcast.v1``: the client's commands, and the server's answers and data.

:mod:`bookcast.protocol.render` turns updates into messages.

Times are milliseconds since 1970. ``ts`` is when the exchange, the feed and the server saw an
update; null where unknown. Levels are ``[price, size]`` or ``[price, size, orders]``, best first.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bookcast.errors import ERRORS
from bookcast.model.feed_state import QuotaPool, TopicState
from bookcast.model.market_data import MAX_NUMBER, Brokers, Candle, Order, Quote, TimePoint, Trade
from bookcast.model.numbers import Number
from bookcast.model.topics import Channel, ChannelName, PeriodName, VariantName
from bookcast.protocol.header import Ts

SUBPROTOCOL = "bookcast.v1"

Id = (
    Annotated[str, Meta(max_length=128)]
    | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    | Annotated[float, Meta(ge=-MAX_NUMBER, le=MAX_NUMBER, multiple_of=1)]
    | None
    | UnsetType
)
"""A client may put an id into any message; the answers repeat it. It is short text, or a whole
number.

It is repeated as it was sent, 1.0 too."""

Names = list[Annotated[Any, Meta(extra_json_schema={"type": "string"})]]
"""Symbols. Each is checked separately: one that isn't text doesn't affect the others."""


ErrorCode = Annotated[str, Meta(extra_json_schema={"enum": list(ERRORS)})]

MAX_DEPTH = 1000
MAX_INTERVAL_MS = 60_000
MAX_HISTORY = 10_000

# From a client


class Since(msgspec.Struct, frozen=True):
    """A position: the client has everything up to it."""

    epoch: str
    seq: Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Subscribe(msgspec.Struct, frozen=True, tag_field="action", tag="subscribe"):
    """Subscribes to symbols of a channel. Each symbol is confirmed or refused separately.

    ``depth``: levels of a book on each side; ``mode``: whole books, or deltas; ``interval_ms``: at
    most one message in this many milliseconds; ``period``: of candles; ``variant``: ``odd`` for the
    book of odd lots; ``history``: begin with this many past trades or candles; ``since``: a
    position, for one symbol: begin with what came after it.
    """

    symbol: str | UnsetType = UNSET
    symbols: Names | UnsetType = UNSET
    channel: ChannelName = "orderbook"
    depth: Annotated[int, Meta(ge=1, le=MAX_DEPTH)] | None = None
    mode: Literal["full", "delta"] = "full"
    interval_ms: Annotated[int, Meta(ge=0, le=MAX_INTERVAL_MS)] = 0
    period: PeriodName | None = None
    variant: VariantName | None = None
    history: Annotated[int, Meta(ge=0, le=MAX_HISTORY)] = 0
    since: Since | None = None
    id: Id = UNSET


class Unsubscribe(msgspec.Struct, frozen=True, tag_field="action", tag="unsubscribe"):
    """Ends the subscriptions to symbols of a channel."""

    symbol: str | UnsetType = UNSET
    symbols: Names | UnsetType = UNSET
    channel: ChannelName = "orderbook"
    period: PeriodName | None = None
    variant: VariantName | None = None
    id: Id = UNSET


class Ping(msgspec.Struct, frozen=True, tag_field="action", tag="ping"):
    """Asks whether the server is there."""

    id: Id = UNSET


class ListSubscriptions(msgspec.Struct, frozen=True, tag_field="action", tag="list"):
    """Asks for the subscriptions of this connection."""

    id: Id = UNSET


class Resync(msgspec.Struct, frozen=True, tag_field="action", tag="resync"):
    """Asks for the whole state again, for instance after a checksum that didn't match."""

    symbol: str
    channel: ChannelName = "orderbook"
    period: PeriodName | None = None
    variant: VariantName | None = None
    id: Id = UNSET


class Why(msgspec.Struct, frozen=True, tag_field="action", tag="why"):
    """Asks what became of the updates of a symbol, and what limits them."""

    symbol: str
    channel: ChannelName = "orderbook"
    period: PeriodName | None = None
    variant: VariantName | None = None
    id: Id = UNSET


class Publish(msgspec.Struct, frozen=True, tag_field="action", tag="publish"):
    """Publishes data of a channel, in the same form as ``POST /broadcast/{channel}``.

    With an ``idempotency_key`` it may be sent again, and is published once.
    """

    channel: ChannelName
    symbol: str
    data: msgspec.Raw
    period: PeriodName | None = None
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    id: Id = UNSET


class HeldPosition(msgspec.Struct, frozen=True):
    """A client's position in a topic: the client has everything up to it."""

    channel: ChannelName
    symbol: str
    epoch: str
    seq: int
    period: PeriodName | None = None
    variant: VariantName | None = None


class Resume(msgspec.Struct, frozen=True, tag_field="action", tag="resume"):
    """Asks to go on with an earlier session, by its token and the client's positions.

    A topic that ``positions`` doesn't name goes on with the newest state.
    """

    session: str
    positions: list[HeldPosition] = []
    id: Id = UNSET


class Authenticate(msgspec.Struct, frozen=True, tag_field="action", tag="authenticate"):
    """Presents a token."""

    token: str
    id: Id = UNSET


Command = (
    Subscribe
    | Unsubscribe
    | Ping
    | ListSubscriptions
    | Resync
    | Why
    | Publish
    | Resume
    | Authenticate
)


# To a client

Ignored = list[str] | UnsetType
"""Unknown fields of the client's message, at most 10."""


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The first field of every answer: the ``id`` of the message that it answers."""

    id: Id = UNSET


class _OfTopic(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that name a topic."""

    channel: Channel
    symbol: str
    period: PeriodName | UnsetType = UNSET
    variant: VariantName | UnsetType = UNSET


class _AnswerOfTopic(_Answer, frozen=True, kw_only=True):
    """The first fields of an answer about a topic."""

    channel: Channel
    symbol: str
    period: PeriodName | UnsetType = UNSET
    variant: VariantName | UnsetType = UNSET


class _Update(msgspec.Struct, frozen=True):
    """The first fields of every update: its topic, its position, and when it was seen."""

    channel: Channel
    symbol: str
    epoch: str
    seq: int
    ts: Ts


class Welcome(msgspec.Struct, frozen=True, tag_field="type", tag="welcome"):
    """The first message. After ``heartbeat_ms`` of silence the server sends a heartbeat.

    ``session`` is the secret with which the client may resume this session.
    ``authenticate_within_ms``: the client must present a token within this time, before anything
    else.
    """

    protocol: str
    client_id: str
    session: str
    heartbeat_ms: int
    server_time: float
    authenticate_within_ms: int | UnsetType = UNSET


class SeenAs(msgspec.Struct, frozen=True):
    """The view of a subscription. ``depth`` null: all levels."""

    depth: int | None
    mode: Literal["full", "delta"]
    interval_ms: int


class SubscriptionConfirmed(
    _AnswerOfTopic, frozen=True, tag_field="type", tag="subscription_confirmed", kw_only=True
):
    """Updates of the topic follow, from this position on; null when nothing is known yet.

    For trades the position is the first ``prev_seq``, unless a gap comes first. ``recovered``, if
    the client sent ``since``: whether everything after that position follows.
    """

    view: SeenAs
    epoch: str | None
    seq: int | None
    recovered: bool | UnsetType = UNSET
    ignored: Ignored = UNSET


class UnsubscriptionConfirmed(
    _AnswerOfTopic, frozen=True, tag_field="type", tag="unsubscription_confirmed", kw_only=True
):
    """No more updates of the topic follow."""

    ignored: Ignored = UNSET


class BookLevel(NamedTuple):
    """A level of a book: ``[price, size]``, then ``orders`` and ``details`` if they are known.

    ``orders`` is the number of orders at that price; ``details`` lists their ids and sizes.
    """

    price: Number
    size: Number
    orders: int | None = None
    details: list[Order] | None = None


class Sides(msgspec.Struct, frozen=True):
    """Levels of both sides, best first; in a delta, a level of size 0 is removed."""

    bids: list[BookLevel]
    asks: list[BookLevel]


class OrderbookUpdate(_Update, frozen=True, tag_field="type", tag="orderbook_update"):
    """A whole book, to the depth of the view."""

    channel: Literal["orderbook"]
    data: Sides
    variant: VariantName | UnsetType = UNSET


class OrderbookDelta(_Update, frozen=True, tag_field="type", tag="orderbook_delta"):
    """What changed since ``prev_seq``, the last update that this client was sent in this view.

    ``checksum``: CRC-32 of the best 10 bids, then the best 10 asks, after the change, each written
    as ``price:size;``.
    """

    channel: Literal["orderbook"]
    prev_seq: int
    checksum: int
    data: Sides
    variant: VariantName | UnsetType = UNSET


class TradesData(msgspec.Struct, frozen=True):
    """Trades, oldest first."""

    trades: list[Trade]


class TradeMessage(_Update, frozen=True, tag_field="type", tag="trade"):
    """All trades after ``prev_seq`` up to ``seq``."""

    channel: Literal["trades"]
    prev_seq: int
    data: TradesData


class QuoteUpdate(_Update, frozen=True, tag_field="type", tag="quote_update"):
    """The newest quote; unknown values are absent."""

    channel: Literal["quote"]
    data: Quote


class CandleUpdate(_Update, frozen=True, tag_field="type", tag="candle_update"):
    """A candle: every final one, and the newest state of the forming one."""

    channel: Literal["candles"]
    period: PeriodName
    data: Candle


class BrokersUpdate(_Update, frozen=True, tag_field="type", tag="brokers_update"):
    """The broker queues of both sides."""

    channel: Literal["brokers"]
    data: Brokers


class TimeframeUpdate(_Update, frozen=True, tag_field="type", tag="timeframe_update"):
    """The newest minute of the day's price line."""

    channel: Literal["timeframe"]
    data: TimePoint


class Quota(msgspec.Struct, frozen=True):
    """A quota of OpenD's account. ``next_free_ms``: when some may become free; null: unknown.

    ``pool``: ``stock`` counts subscriptions; ``option`` counts chains of options and kinds of data;
    ``sf_book`` counts Hong Kong securities with a book or a broker queue.
    """

    pool: QuotaPool
    used: int
    limit: int
    next_free_ms: float | None


class StatusMessage(_OfTopic, frozen=True, tag_field="type", tag="status", kw_only=True):
    """The status of a topic. Sent when it changes, and at the beginning unless it is live.

    ``age_ms``: the age of the newest update. ``source``: the feed that the topic comes from, or
    ``snapshot`` if the feed polls it, every ``every_ms``. ``quota``: the quota that the
    subscription waits for. ``did_you_mean``: symbols of the feed that may be meant instead of one
    that the feed lacks, the likeliest first.
    """

    state: TopicState
    age_ms: float | None
    reason: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    every_ms: float | UnsetType = UNSET
    quota: Quota | UnsetType = UNSET
    did_you_mean: list[str] | UnsetType = UNSET


class GapMessage(_OfTopic, frozen=True, tag_field="type", tag="gap", kw_only=True):
    """These updates, ``from_seq`` to ``to_seq`` inclusive, won't come; null where unknown."""

    epoch: str
    from_seq: int | None
    to_seq: int | None
    reason: Literal["overflow", "history", "epoch", "engine_restored", "unreadable"]


LimitedBy = Literal["none", "interval", "slow", "rate", "quota", "right"]


class WhyMessage(_AnswerOfTopic, frozen=True, tag_field="type", tag="why", kw_only=True):
    """What became of a topic's updates since this client subscribed.

    ``queued`` updates wait; ``conflated`` updates were replaced by newer ones; ``unchanged``
    updates changed nothing that this view shows.
    """

    received: int
    sent: int
    conflated: int
    queued: int
    gapped: int
    unchanged: int
    state: TopicState
    limited_by: LimitedBy
    last_update_ms: float | None
    ignored: Ignored = UNSET


class Listed(_OfTopic, frozen=True, kw_only=True):
    """One subscription."""

    view: SeenAs


class ListMessage(_Answer, frozen=True, tag_field="type", tag="list", kw_only=True):
    """All subscriptions of this connection."""

    subscriptions: list[Listed]
    ignored: Ignored = UNSET


class Restored(_OfTopic, frozen=True, kw_only=True):
    """A subscription that goes on. ``recovered``: nothing is missing, and nothing is repeated.

    The position is the client's own if it still counts, else the newest one; null when nothing is
    known yet.
    """

    view: SeenAs
    epoch: str | None
    seq: int | None
    recovered: bool


class NotRestored(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription that doesn't go on, and the error code that says why.

    ``message``: what is wrong with a position that can't be read. Such a position may name no
    topic.
    """

    channel: str | UnsetType = UNSET
    symbol: str | UnsetType = UNSET
    period: str | UnsetType = UNSET
    variant: str | UnsetType = UNSET
    code: ErrorCode
    message: str | UnsetType = UNSET


class Resumed(_Answer, frozen=True, tag_field="type", tag="resumed", kw_only=True):
    """The session goes on; missed updates follow. ``session`` is the token for the next time."""

    session: str
    restored: list[Restored]
    refused: list[NotRestored]
    ignored: Ignored = UNSET


class Authenticated(_Answer, frozen=True, tag_field="type", tag="authenticated", kw_only=True):
    """The token is valid for this long; null: it doesn't expire."""

    expires_in_ms: float | None
    ignored: Ignored = UNSET


class GoingAway(msgspec.Struct, frozen=True, tag_field="type", tag="going_away"):
    """The server ends. Come back after this time and resume; the connection closes about then."""

    reconnect_in_ms: int


class TokenExpiring(msgspec.Struct, frozen=True, tag_field="type", tag="token_expiring"):
    """The token expires in this time: present another one, or be closed with 4010."""

    in_ms: float


class ErrorMessage(_Answer, frozen=True, tag_field="type", tag="error", kw_only=True):
    """What was wrong with a command: a code for programs, a sentence for people.

    ``did_you_mean``: symbols that may be meant instead of one that the feed can't get, the
    likeliest first.
    """

    code: ErrorCode
    message: str
    channel: str | UnsetType = UNSET
    symbol: str | UnsetType = UNSET
    retry_after_ms: int | UnsetType = UNSET
    did_you_mean: list[str] | UnsetType = UNSET
    ignored: Ignored = UNSET


class PublishedMessage(_Answer, frozen=True, tag_field="type", tag="published", kw_only=True):
    """The publication is accepted, at this position."""

    channel: Channel
    symbol: str
    epoch: str
    seq: int
    ignored: Ignored = UNSET


class Pong(_Answer, frozen=True, tag_field="type", tag="pong", kw_only=True):
    """The answer to a ping."""

    server_time: float
    ignored: Ignored = UNSET


class Heartbeat(msgspec.Struct, frozen=True, tag_field="type", tag="heartbeat"):
    """Sent after a silence, so that the client knows that the server is alive."""

    server_time: float


Message = (
    Welcome
    | SubscriptionConfirmed
    | UnsubscriptionConfirmed
    | OrderbookUpdate
    | OrderbookDelta
    | TradeMessage
    | QuoteUpdate
    | CandleUpdate
    | BrokersUpdate
    | TimeframeUpdate
    | StatusMessage
    | GapMessage
    | WhyMessage
    | ListMessage
    | ErrorMessage
    | PublishedMessage
    | Resumed
    | Authenticated
    | TokenExpiring
    | GoingAway
    | Pong
    | Heartbeat
)
