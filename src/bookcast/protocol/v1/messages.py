"""The messages of ``bookcast.v1``: what a client may say, and what it is told.

Times are milliseconds since 1970. ``ts`` tells when the exchange, the feed and the server saw an
update; null where unknown. Levels are ``[price, size]`` or ``[price, size, orders]``, best first.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bookcast.errors import ERRORS
from bookcast.hub.status import State
from bookcast.ingest.schemas import ChannelName, PeriodName, VariantName
from bookcast.model.feed_state import QuotaPool
from bookcast.model.market_data import MAX_NUMBER, Brokers, Candle, Order, Quote, TimePoint, Trade
from bookcast.model.numbers import Number
from bookcast.model.topics import Channel
from bookcast.protocol.header import Ts

SUBPROTOCOL = "bookcast.v1"

Id = (
    Annotated[str, Meta(max_length=128)]
    | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    | Annotated[float, Meta(ge=-MAX_NUMBER, le=MAX_NUMBER, multiple_of=1)]
    | None
    | UnsetType
)
"""What a client may put into any message, to find it in the answers: short text, or a whole number.

It is echoed as it was sent, 1.0 too."""

Names = list[Annotated[Any, Meta(extra_json_schema={"type": "string"})]]
"""Symbols. Each is checked by itself: what isn't text among them spoils no other."""


ErrorCode = Annotated[str, Meta(extra_json_schema={"enum": list(ERRORS)})]

MAX_DEPTH = 1000
MAX_INTERVAL_MS = 60_000
MAX_HISTORY = 10_000

# From a client


class Since(msgspec.Struct, frozen=True):
    """A position that a client has everything up to."""

    epoch: str
    seq: Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Subscribe(msgspec.Struct, frozen=True, tag_field="action", tag="subscribe"):
    """Asks for symbols of a channel. Each one is confirmed, or refused, by itself.

    ``depth``: levels of a book on each side; ``mode``: whole books, or what changed in them;
    ``interval_ms``: at most one message in so many milliseconds; ``period``: of candles;
    ``variant``: ``odd`` for the book of odd lots; ``history``: so many past trades or candles
    first; ``since``: what came after this position first, of one symbol.
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
    """Asks for no more of them."""

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
    """Asks what this connection is subscribed to."""

    id: Id = UNSET


class Resync(msgspec.Struct, frozen=True, tag_field="action", tag="resync"):
    """Asks for the whole state once more, for instance after a checksum that didn't agree."""

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
    """Publishes data of a channel, in the shapes that ``POST /broadcast/{channel}`` takes.

    With an ``idempotency_key`` it can be sent again, and is published once.
    """

    channel: ChannelName
    symbol: str
    data: msgspec.Raw
    period: PeriodName | None = None
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    id: Id = UNSET


class HeldPosition(msgspec.Struct, frozen=True):
    """What a client has of a topic: everything up to this."""

    channel: ChannelName
    symbol: str
    epoch: str
    seq: int
    period: PeriodName | None = None
    variant: VariantName | None = None


class Resume(msgspec.Struct, frozen=True, tag_field="action", tag="resume"):
    """Asks to go on with an earlier session, given its token and what the client has of it.

    What isn't named in ``positions`` goes on with the newest state.
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
"""Fields of the message answered that aren't known, at most 10."""


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer begins with: the ``id`` of the message that it answers."""

    id: Id = UNSET


class _OfTopic(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that name a topic."""

    channel: Channel
    symbol: str
    period: PeriodName | UnsetType = UNSET
    variant: VariantName | UnsetType = UNSET


class _AnswerOfTopic(_Answer, frozen=True, kw_only=True):
    """What an answer about a topic begins with."""

    channel: Channel
    symbol: str
    period: PeriodName | UnsetType = UNSET
    variant: VariantName | UnsetType = UNSET


class _Update(msgspec.Struct, frozen=True):
    """What every update begins with: its topic, its position, and when it was seen."""

    channel: Channel
    symbol: str
    epoch: str
    seq: int
    ts: Ts


class Welcome(msgspec.Struct, frozen=True, tag_field="type", tag="welcome"):
    """The first message. After ``heartbeat_ms`` of silence there is a heartbeat.

    ``session`` is the secret that this session may be resumed with. ``authenticate_within_ms``: a
    token has to be presented within that, before anything else.
    """

    protocol: str
    client_id: str
    session: str
    heartbeat_ms: int
    server_time: float
    authenticate_within_ms: int | UnsetType = UNSET


class SeenAs(msgspec.Struct, frozen=True):
    """How a subscription shows its topic. ``depth`` null: all levels."""

    depth: int | None
    mode: Literal["full", "delta"]
    interval_ms: int


class SubscriptionConfirmed(
    _AnswerOfTopic, frozen=True, tag_field="type", tag="subscription_confirmed", kw_only=True
):
    """The topic comes from now on, beginning with this position; null when nothing is known yet.

    For trades it is the first ``prev_seq``, unless a gap goes on from there. ``recovered``, in
    answer to ``since``: whether everything after that position follows.
    """

    view: SeenAs
    epoch: str | None
    seq: int | None
    recovered: bool | UnsetType = UNSET
    ignored: Ignored = UNSET


class UnsubscriptionConfirmed(
    _AnswerOfTopic, frozen=True, tag_field="type", tag="unsubscription_confirmed", kw_only=True
):
    """The topic comes no more."""

    ignored: Ignored = UNSET


class BookLevel(NamedTuple):
    """A level of a book: ``[price, size]``, then ``orders`` and ``details`` where they are known.

    ``orders`` counts the orders of that price, ``details`` lists their ids and sizes.
    """

    price: Number
    size: Number
    orders: int | None = None
    details: list[Order] | None = None


class Sides(msgspec.Struct, frozen=True):
    """Levels of both sides, best first; in a delta, those of size 0 are gone."""

    bids: list[BookLevel]
    asks: list[BookLevel]


class OrderbookUpdate(_Update, frozen=True, tag_field="type", tag="orderbook_update"):
    """A whole book, as deep as the view."""

    channel: Literal["orderbook"]
    data: Sides
    variant: VariantName | UnsetType = UNSET


class OrderbookDelta(_Update, frozen=True, tag_field="type", tag="orderbook_delta"):
    """What changed since ``prev_seq``, the last that this client was sent of this view.

    ``checksum``: CRC-32 of the best 10 bids, then asks, after the change, as ``price:size;`` each.
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
    """The newest quote; figures that are unknown are absent."""

    channel: Literal["quote"]
    data: Quote


class CandleUpdate(_Update, frozen=True, tag_field="type", tag="candle_update"):
    """A candle: each final one, and the newest state of the one that is forming."""

    channel: Literal["candles"]
    period: PeriodName
    data: Candle


class BrokersUpdate(_Update, frozen=True, tag_field="type", tag="brokers_update"):
    """The brokers in the queues."""

    channel: Literal["brokers"]
    data: Brokers


class TimeframeUpdate(_Update, frozen=True, tag_field="type", tag="timeframe_update"):
    """The newest minute of the day's line."""

    channel: Literal["timeframe"]
    data: TimePoint


class Quota(msgspec.Struct, frozen=True):
    """What OpenD lets an account subscribe. ``next_free_ms``: in how long some may come free.

    ``pool``: ``stock`` counts subscriptions, ``option`` chains of options and kinds of data,
    ``sf_book`` Hong Kong securities with a book or a broker queue.
    """

    pool: QuotaPool
    used: int
    limit: int
    next_free_ms: float | None


class StatusMessage(_OfTopic, frozen=True, tag_field="type", tag="status", kw_only=True):
    """How a topic stands, sent when that changes, and at the beginning unless it is live.

    ``age_ms``: how long ago the newest update came. ``source``: the feed it comes from, or
    ``snapshot`` where that may only ask, which it does every ``every_ms``. ``quota``: of what a
    subscription waits for. ``did_you_mean``: symbols of the feed that may have been meant instead
    of one that it lacks, the likeliest first.
    """

    state: State
    age_ms: float | None
    reason: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    every_ms: float | UnsetType = UNSET
    quota: Quota | UnsetType = UNSET
    did_you_mean: list[str] | UnsetType = UNSET


class GapMessage(_OfTopic, frozen=True, tag_field="type", tag="gap", kw_only=True):
    """These updates, from and to inclusive, won't come; null where unknown."""

    epoch: str
    from_seq: int | None
    to_seq: int | None
    reason: Literal["overflow", "history", "epoch", "engine_restored", "unreadable"]


LimitedBy = Literal["none", "interval", "slow", "rate", "quota", "right"]


class WhyMessage(_AnswerOfTopic, frozen=True, tag_field="type", tag="why", kw_only=True):
    """What became of the updates of a topic since this client subscribed.

    ``queued`` ones wait, ``conflated`` ones were replaced by newer ones, ``unchanged`` ones changed
    nothing that this view shows.
    """

    received: int
    sent: int
    conflated: int
    queued: int
    gapped: int
    unchanged: int
    state: State
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
    """A subscription that goes on. ``recovered``: nothing is missing, and none will be repeated.

    The position is the client's own where it is, else the newest one, which is null when nothing
    is known yet.
    """

    view: SeenAs
    epoch: str | None
    seq: int | None
    recovered: bool


class NotRestored(msgspec.Struct, frozen=True, kw_only=True):
    """One that doesn't go on, and the error code that says why.

    ``message``: what is wrong with a position that can't be read; it may name no topic.
    """

    channel: str | UnsetType = UNSET
    symbol: str | UnsetType = UNSET
    period: str | UnsetType = UNSET
    variant: str | UnsetType = UNSET
    code: ErrorCode
    message: str | UnsetType = UNSET


class Resumed(_Answer, frozen=True, tag_field="type", tag="resumed", kw_only=True):
    """The session goes on; what was missed follows. ``session`` is the token for the next time."""

    session: str
    restored: list[Restored]
    refused: list[NotRestored]
    ignored: Ignored = UNSET


class Authenticated(_Answer, frozen=True, tag_field="type", tag="authenticated", kw_only=True):
    """The token is good, for so long; null: for good."""

    expires_in_ms: float | None
    ignored: Ignored = UNSET


class GoingAway(msgspec.Struct, frozen=True, tag_field="type", tag="going_away"):
    """The server ends: come back in so long, and resume. It closes this connection about then."""

    reconnect_in_ms: int


class TokenExpiring(msgspec.Struct, frozen=True, tag_field="type", tag="token_expiring"):
    """The token expires in so long; present another one, or be closed with 4010."""

    in_ms: float


class ErrorMessage(_Answer, frozen=True, tag_field="type", tag="error", kw_only=True):
    """What was wrong with a command: a code for programs, a sentence for people.

    ``did_you_mean``: symbols that may have been meant instead of one that the feed is refused, the
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
    """The publication has its place."""

    channel: Channel
    symbol: str
    epoch: str
    seq: int
    ignored: Ignored = UNSET


class Pong(_Answer, frozen=True, tag_field="type", tag="pong", kw_only=True):
    """The server is there."""

    server_time: float
    ignored: Ignored = UNSET


class Heartbeat(msgspec.Struct, frozen=True, tag_field="type", tag="heartbeat"):
    """The server is there, though it has had nothing to say for a while."""

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
