"""The base protocol's messages: what a client may say, and what it is told.

These fields exactly, in this order; front ends in the field rely on them.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from bookcast.model import MAX_NUMBER

# From a client


class Subscribe(msgspec.Struct, frozen=True, tag_field="action", tag="subscribe"):
    """Asks for the order books of a symbol."""

    symbol: str


class Unsubscribe(msgspec.Struct, frozen=True, tag_field="action", tag="unsubscribe"):
    """Asks for no more of them."""

    symbol: str


class Ping(msgspec.Struct, frozen=True, tag_field="action", tag="ping"):
    """Asks whether the server is there."""


Command = Subscribe | Unsubscribe | Ping


# To a client


class SubscriptionConfirmed(
    msgspec.Struct, frozen=True, tag_field="type", tag="subscription_confirmed"
):
    """The symbol's books come from now on. The symbol is spelled as the client spelled it."""

    symbol: str


class UnsubscriptionConfirmed(
    msgspec.Struct, frozen=True, tag_field="type", tag="unsubscription_confirmed"
):
    """The symbol's books come no more."""

    symbol: str


class OrderbookUpdate(msgspec.Struct, frozen=True, tag_field="type", tag="orderbook_update"):
    """A book: ``data`` as published, ``timestamp`` the server's, ISO 8601 UTC."""

    symbol: str
    data: msgspec.Raw
    timestamp: str


class Pong(msgspec.Struct, frozen=True, tag_field="type", tag="pong"):
    """The server is there."""


class ErrorMessage(msgspec.Struct, frozen=True, tag_field="type", tag="error"):
    """What was wrong with a command, in one sentence."""

    message: str


Message = SubscriptionConfirmed | UnsubscriptionConfirmed | OrderbookUpdate | Pong | ErrorMessage


# From a publisher

Price = (
    Annotated[int, Meta(gt=-int(MAX_NUMBER), lt=int(MAX_NUMBER))]
    | Annotated[float, Meta(gt=-MAX_NUMBER, lt=MAX_NUMBER)]
)
Size = Annotated[int, Meta(ge=0, lt=int(MAX_NUMBER))] | Annotated[float, Meta(ge=0, lt=MAX_NUMBER)]
OrderCount = Annotated[int, Meta(ge=0, lt=int(MAX_NUMBER))]


class PublishedTuple(NamedTuple):
    """A level as ``[price, size]`` or ``[price, size, orders]``."""

    price: Price
    size: Size
    orders: OrderCount | None = None


class PublishedLevel(msgspec.Struct, frozen=True):
    """A level as an object. ``volume`` is another word for ``size``; other fields are kept."""

    price: Price
    size: Size | msgspec.UnsetType = msgspec.UNSET
    volume: Size | msgspec.UnsetType = msgspec.UNSET
    orders: OrderCount | None = None


class PublishedBook(msgspec.Struct, frozen=True):
    """An order book as a publisher gives it, best level first; other fields are kept.

    ``timestamp`` may be anything; ISO 8601 text and milliseconds since 1970 are understood.
    """

    bids: list[PublishedTuple | PublishedLevel]
    asks: list[PublishedTuple | PublishedLevel]
