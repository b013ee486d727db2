"""The base protocol's messages: the client's commands, and the server's answers and data.

The fields and their order are fixed: front ends in use rely on them.
"""

from __future__ import annotations

import msgspec

# From a client


class Subscribe(msgspec.Struct, frozen=True, tag_field="action", tag="subscribe"):
    """Asks for the order books of a symbol."""

    symbol: str


class Unsubscribe(msgspec.Struct, frozen=True, tag_field="action", tag="unsubscribe"):
    """Ends a subscription."""

    symbol: str


class Ping(msgspec.Struct, frozen=True, tag_field="action", tag="ping"):
    """Asks whether the server is there."""


class Authenticate(msgspec.Struct, frozen=True, tag_field="action", tag="authenticate"):
    """Presents a token, if the server asks for one; otherwise the action is unknown."""

    token: str


Command = Subscribe | Unsubscribe | Ping | Authenticate


# To a client


class SubscriptionConfirmed(
    msgspec.Struct, frozen=True, tag_field="type", tag="subscription_confirmed"
):
    """The symbol's books follow. The symbol is written as the client wrote it."""

    symbol: str


class UnsubscriptionConfirmed(
    msgspec.Struct, frozen=True, tag_field="type", tag="unsubscription_confirmed"
):
    """No more books of the symbol follow."""

    symbol: str


class OrderbookUpdate(msgspec.Struct, frozen=True, tag_field="type", tag="orderbook_update"):
    """A book: ``data`` as it was published; ``timestamp`` is the server's, ISO 8601 in UTC."""

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
