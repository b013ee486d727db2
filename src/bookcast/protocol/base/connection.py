"""The base protocol of one client: call it with each message, perform the returned actions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import msgspec

from bookcast.auth.principal import EVERYTHING, Rights
from bookcast.errors import InvalidInput
from bookcast.hub.view_spec import ViewSpec
from bookcast.model.cursor import Cursor
from bookcast.model.topics import Topic
from bookcast.protocol.actions import Action, Authenticate, Restore, Send, Subscribe, Unsubscribe
from bookcast.protocol.base import messages
from bookcast.protocol.base.commands import UnknownAction, decode_command
from bookcast.protocol.names import BASE
from bookcast.protocol.subscriptions import ConnectionRules, SavedSubscriptions, Subscriptions

Charge = Callable[[bool], InvalidInput | None]
"""Charges the client's message budget for a message; True: for a publication.

Returns the refusal if the client has sent too many, else None.
"""


def no_charge(_publication: bool) -> InvalidInput | None:  # noqa: FBT001 - a kind of charge
    """Refuse nothing."""
    return None


def unauthenticated() -> InvalidInput:
    """Return the refusal of a client that isn't authenticated yet."""
    return InvalidInput(
        "unauthenticated", "First authenticate: {'action':'authenticate','token':…}"
    )


class BaseConnection:
    """The state of one client of the base protocol: what it has subscribed to.

    Args:
        terms: the rules of every connection.
        rights: what the client may do. None: the client isn't authenticated yet.
        deflate: the client takes compressed messages.
        charge: charges the client for each message.
    """

    __slots__ = ("_charge", "subscriptions")

    def __init__(
        self,
        terms: ConnectionRules,
        *,
        rights: Rights | None = EVERYTHING,
        deflate: bool = False,
        charge: Charge = no_charge,
    ) -> None:
        self.subscriptions = Subscriptions(terms, rights, deflate=deflate)
        self._charge = charge

    @property
    def rights(self) -> Rights | None:
        """What the client may do."""
        return self.subscriptions.rights

    def welcome(self) -> list[Action]:
        """Return nothing: a base client gets no message that it didn't ask for."""
        return []

    def open(self, symbols: Sequence[str]) -> list[Action]:
        """Subscribe to the symbols in the client's address, as if it had sent them."""
        actions: list[Action] = []
        for symbol in symbols:
            try:
                actions.append(self._subscribe(symbol))
            except InvalidInput as error:
                actions += self.refuse(error)
        return actions

    def refuse(self, error: InvalidInput) -> list[Action]:
        """Return the actions that answer an error of the client."""
        return [Send(_refusal(error), error)]

    def receive(self, data: bytes | str) -> list[Action]:
        """Return the actions for one text message. Bad input is answered, never raised."""
        refusal = self._charge(False)  # noqa: FBT003 - no publication
        if refusal is not None:
            return self.refuse(refusal)
        try:
            return self._decide(decode_command(data))
        except InvalidInput as error:
            return self.refuse(error)

    def _decide(self, command: messages.Command) -> list[Action]:
        match command:
            case messages.Ping():
                return [Send(messages.Pong())]
            case messages.Authenticate(token=token):
                if not self.subscriptions.terms.takes_tokens:
                    raise UnknownAction
                return [Authenticate(token, _authenticated, _refusal)]
            case _ if self.rights is None:
                raise unauthenticated()
            case messages.Subscribe(symbol=symbol):
                return [self._subscribe(symbol)]
            case messages.Unsubscribe(symbol=symbol):
                topic = self.subscriptions.topic(symbol)
                self.subscriptions.pop(topic, None)
                return [Unsubscribe(topic), Send(messages.UnsubscriptionConfirmed(symbol))]

    def _subscribe(self, symbol: str) -> Subscribe:
        """Subscribe to a symbol's books. Subscribing again sends the book again."""
        topic = self.subscriptions.topic(symbol)
        view = self.subscriptions.open(topic, self._asked(symbol))
        confirmed = messages.SubscriptionConfirmed(symbol)
        return Subscribe(topic, view, lambda _position: confirmed)

    def _asked(self, symbol: str) -> ViewSpec:
        """Return the view that every base client asks for."""
        subscriptions = self.subscriptions
        lossless = subscriptions.terms.keeps_all
        return ViewSpec(BASE, symbol, deflate=subscriptions.deflate, lossless=lossless)

    def adopt(self, saved: SavedSubscriptions, declined: Collection[Topic]) -> list[Action]:
        """Return the actions that go on with what an earlier connection was subscribed to.

        Topics that this connection has subscribed to already, or has declined, are left out.
        Nothing is confirmed: the client doesn't know that the server took it for lost.
        """
        restored: list[tuple[Topic, ViewSpec, Cursor | None]] = []
        for topic, (seen, last) in saved.items():
            if topic in self.subscriptions or topic in declined:
                continue
            try:
                view = self.subscriptions.open(topic, self._asked(seen.requested_symbol))
            except InvalidInput:
                continue
            restored.append((topic, view, last if view.depth == seen.depth else None))
        return [Restore(restored)] if restored else []

    def entitle(self, rights: Rights) -> list[Action]:
        """Replace the client's rights. Subscriptions that they don't cover end, with a reason."""
        actions: list[Action] = []
        changes = self.subscriptions.entitle(
            rights, lambda view: self._asked(view.requested_symbol)
        )
        for topic, before, now in changes:
            if isinstance(now, InvalidInput):
                message = f"The subscription to {before.requested_symbol} ended: {now.message}"
                actions += [Unsubscribe(topic), *self.refuse(InvalidInput(now.code, message))]
            else:
                actions.append(Subscribe(topic, now, None))
        return actions

    def close(self) -> Sequence[Action]:
        """End all subscriptions."""
        return self.subscriptions.close()


def _authenticated(_seconds: float | None) -> msgspec.Struct:
    return messages.Authenticated()


def _refusal(error: InvalidInput) -> msgspec.Struct:
    return messages.ErrorMessage(error.message)
