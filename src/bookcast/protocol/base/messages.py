"""The base protocol's messages: what a client may say, and what it is told.

These fields exactly, in this order; front ends in the field rely on them.
"""

from __future__ import annotations

import msgspec

# From a client


class Subscribe(msgspec.Struct, frozen=True, tag_field="action", tag="subscribe"):
    """Asks for the order books of a symbol."""

    symbol: str


class Unsubscribe(msgspec.Struct, frozen=True, tag_field="action", tag="unsubscribe"):
    """Asks for no more of them."""

    symbol: str


class Ping(msgspec.Struct, frozen=True, tag_field="action", tag="ping"):
    """Asks whether the server is there."""


class Authenticate(msgspec.Struct, frozen=True, tag_field="action", tag="authenticate"):
    """Presents a token, where the server asks for one; elsewhere the action is unknown."""

    token: str


Command = Subscribe | Unsubscribe | Ping | Authenticate


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


class Authenticated(msgspec.Struct, frozen=True, tag_field="type", tag="authenticated"):
    """The token is good."""


class ErrorMessage(msgspec.Struct, frozen=True, tag_field="type", tag="error"):
    """What was wrong with a command, in one sentence."""

    message: str


Message = (
    SubscriptionConfirmed
    | UnsubscriptionConfirmed
    | OrderbookUpdate
    | Pong
    | Authenticated
    | ErrorMessage
)
