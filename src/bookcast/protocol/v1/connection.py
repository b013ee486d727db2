"""``bookcast.v1`` of one client: call it with each message, perform the returned actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import UNSET

from bookcast.auth.principal import EVERYTHING, Rights
from bookcast.errors import InvalidInput
from bookcast.hub.view_spec import ViewSpec
from bookcast.ingest.json_input import shown
from bookcast.ingest.schemas import PublishedUpdate
from bookcast.model.topics import Topic
from bookcast.protocol.actions import (
    Action,
    Authenticate,
    Explain,
    Message,
    Publish,
    Resync,
    Send,
    Subscribe,
    Unsubscribe,
)
from bookcast.protocol.base.connection import Charge, no_charge, unauthenticated
from bookcast.protocol.header import topic_fields
from bookcast.protocol.names import V1
from bookcast.protocol.subscriptions import ConnectionRules, Subscriptions
from bookcast.protocol.v1 import answers
from bookcast.protocol.v1 import messages as v1
from bookcast.protocol.v1.answers import error_of, milliseconds, refusal
from bookcast.protocol.v1.commands import CommandTarget, ReadCommand, aim_of, read_command
from bookcast.protocol.v1.ignored import name_ignored
from bookcast.protocol.v1.resumption import check_since, go_on_since, resume

Act = Callable[[Any, Topic, str], Sequence[Action]]
"""Returns the actions of a command for one of its symbols."""


class V1Connection:
    """The state of one client of ``bookcast.v1``: what it has subscribed to.

    Args:
        terms: the rules of every connection.
        client_id: the client's id, from its address.
        session: the token with which the client may resume this session.
        deflate: the client takes compressed messages.
        heartbeat_ms: after this much silence the server sends a heartbeat.
        authenticate_within_ms: the client must authenticate within this time.
        now: seconds since 1970.
        rights: what the client may do. None: the client isn't authenticated yet.
        charge: charges the client for each message.
    """

    __slots__ = (
        "_authenticate_within_ms",
        "_charge",
        "_client_id",
        "_heartbeat_ms",
        "_now",
        "session",
        "subscriptions",
    )

    def __init__(
        self,
        terms: ConnectionRules,
        *,
        client_id: str,
        session: str,
        deflate: bool,
        heartbeat_ms: int,
        now: Callable[[], float],
        rights: Rights | None = EVERYTHING,
        authenticate_within_ms: int = 0,
        charge: Charge = no_charge,
    ) -> None:
        self.subscriptions = Subscriptions(terms, rights, deflate=deflate)
        self.session = session
        self._client_id = client_id
        self._heartbeat_ms = heartbeat_ms
        self._authenticate_within_ms = authenticate_within_ms
        self._now = now
        self._charge = charge

    @property
    def rights(self) -> Rights | None:
        """What the client may do."""
        return self.subscriptions.rights

    def _time(self) -> float:
        return milliseconds(self._now())

    # Messages that the client didn't ask for

    def welcome(self) -> list[Action]:
        """Return the welcome message."""
        welcome = v1.Welcome(
            v1.SUBPROTOCOL,
            self._client_id,
            self.session,
            self._heartbeat_ms,
            self._time(),
            self._authenticate_within_ms if self.rights is None else UNSET,
        )
        return [Send(welcome)]

    def open(self, symbols: Sequence[str]) -> Sequence[Action]:
        """Subscribe to the symbols in the client's address, as if it had sent them."""
        try:
            return self._subscribe(v1.Subscribe(symbols=list(symbols))) if symbols else []
        except InvalidInput as error:
            return self.refuse(error)

    def heartbeat(self) -> Message:
        """Return the heartbeat, which ends a long silence."""
        return v1.Heartbeat(self._time())

    def expiring(self, seconds: float) -> Message:
        """Return the message that asks for another token, ``seconds`` before this one expires."""
        return v1.TokenExpiring(max(0.0, milliseconds(seconds)))

    def going_away(self, seconds: float) -> Message:
        """Return the message that the server ends, and after how long the client may come back."""
        return v1.GoingAway(round(seconds * 1000))

    def entitle(self, rights: Rights) -> list[Action]:
        """Replace the client's rights. Subscriptions that they don't cover end, with a reason."""
        actions: list[Action] = []
        for topic, before, now in self.subscriptions.entitle(rights, lambda view: view):
            if isinstance(now, InvalidInput):
                reason = InvalidInput(now.code, f"The subscription ended: {now.message}")
                actions.append(Unsubscribe(topic))
                actions.append(refusal(reason, UNSET, topic.channel, before.requested_symbol))
            else:
                actions.append(_shown(topic, now))
        return actions

    def close(self) -> Sequence[Action]:
        """End all subscriptions."""
        return self.subscriptions.close()

    # Messages from the client

    def receive(self, data: bytes | str) -> Sequence[Action]:
        """Return the actions for one text message. Bad input is answered, never raised."""
        try:
            said = read_command(data)
        except InvalidInput as error:
            aim = aim_of(data)
            return name_ignored(self._refuse_unread(error, aim), aim.ignored)
        return name_ignored(self._answer(said), said.ignored)

    def refuse(self, error: InvalidInput, id_: v1.Id = UNSET) -> list[Action]:
        """Return the actions that answer an error of the client."""
        return [refusal(error, id_)]

    def _refuse_unread(self, error: InvalidInput, aim: CommandTarget) -> list[Action]:
        """Refuse an unreadable message, once for each symbol that it names."""
        too_much = self._charge(False)  # noqa: FBT003 - no publication
        if too_much is not None:
            return self.refuse(too_much, aim.id)
        few = len(aim.symbols) <= answers.most_symbols(self.subscriptions.terms)
        symbols = aim.symbols if few else ()
        return [refusal(error, aim.id, aim.channel, symbol) for symbol in symbols or [UNSET]]

    def _answer(self, said: ReadCommand) -> Sequence[Action]:
        command = said.command
        too_much = self._charge(isinstance(command, v1.Publish))
        if too_much is not None:
            return self.refuse(too_much, command.id)
        try:
            return self._decide(said)
        except InvalidInput as error:
            symbol, channel = getattr(command, "symbol", UNSET), getattr(command, "channel", UNSET)
            return [refusal(error, command.id, channel, symbol)]

    def _decide(self, said: ReadCommand) -> Sequence[Action]:
        match said.command:
            case v1.Ping(id=id_):
                return [Send(v1.Pong(id=id_, server_time=self._time()))]
            case v1.Authenticate() as command:
                return [_authenticate(command)]
            case _ if self.rights is None:
                raise unauthenticated()
        return self._execute(said)

    def _execute(self, said: ReadCommand) -> Sequence[Action]:
        actions: Sequence[Action] = []
        match command := said.command:
            case v1.Subscribe():
                actions = self._subscribe(command)
            case v1.Unsubscribe():
                actions = self._for_each(self._unsubscribe, command, self._symbols(command))
            case v1.ListSubscriptions(id=id_):
                listed = [answers.listed(*one) for one in self.subscriptions.items()]
                actions = [Send(v1.ListMessage(id=id_, subscriptions=listed))]
            case v1.Resync():
                actions = [Resync(self._subscribed(command))]
            case v1.Why():
                topic = self._subscribed(command)
                actions = [Explain(topic, lambda word: answers.why(topic, command, word))]
            case v1.Publish():
                actions = [_publish(command)]
            case v1.Resume():
                actions = [resume(self.subscriptions, self.session, command, said.faults)]
        return actions

    def _subscribe(self, command: v1.Subscribe) -> Sequence[Action]:
        symbols = self._symbols(command)
        check_since(command, len(symbols))
        return self._for_each(self._show, command, symbols)

    def _show(self, command: v1.Subscribe, topic: Topic, symbol: str) -> Sequence[Action]:
        _check_view(command, topic)
        delta, deflate = command.mode == "delta", self.subscriptions.deflate
        asked = ViewSpec(V1, symbol, command.depth, delta, command.interval_ms, deflate)
        shown = _shown(
            topic, self.subscriptions.open(topic, asked), command.id, history=command.history
        )
        return [shown if command.since is None else go_on_since(shown, command.since)]

    def _unsubscribe(self, command: v1.Unsubscribe, topic: Topic, symbol: str) -> Sequence[Action]:
        was_shown = self.subscriptions.pop(topic, None) is not None
        confirmed = v1.UnsubscriptionConfirmed(id=command.id, **topic_fields(topic, symbol))
        return [*([Unsubscribe(topic)] if was_shown else []), Send(confirmed)]

    def _for_each(
        self,
        act: Act,
        command: v1.Subscribe | v1.Unsubscribe,
        symbols: Sequence[tuple[str, Any]],
    ) -> Sequence[Action]:
        """Act on each symbol; an error in one doesn't affect the others."""
        actions: list[Action] = []
        for place, symbol in symbols:
            try:
                actions += act(command, self._topic(command, _text(symbol, place)), symbol)
            except InvalidInput as error:
                actions.append(refusal(error, command.id, command.channel, symbol))
        return actions

    def _symbols(self, command: v1.Subscribe | v1.Unsubscribe) -> list[tuple[str, Any]]:
        """Return each symbol that a message names, once, with its place in the message."""
        one, many = command.symbol, command.symbols
        if (one is UNSET) == (many is UNSET):
            raise InvalidInput(
                "invalid_message", "Name either 'symbol' or a list of 'symbols'", path="symbol"
            )
        if not isinstance(many, list):
            return [("symbol", one)]
        # Each symbol gets its own answer: bound how many answers one short message makes.
        most = answers.most_symbols(self.subscriptions.terms)
        if not 1 <= len(many) <= most:
            fault = f"at most {most} at once, not {len(many)}" if many else "the list is empty"
            raise InvalidInput("invalid_message", f"symbols: {fault}", path="symbols")
        each: dict[Any, tuple[str, Any]] = {}
        for index, symbol in enumerate(many):
            key = symbol if isinstance(symbol, str) else (index,)
            each.setdefault(key, (f"symbols[{index}]", symbol))
        return list(each.values())

    def _topic(
        self, command: v1.Subscribe | v1.Unsubscribe | v1.Resync | v1.Why, symbol: str
    ) -> Topic:
        return self.subscriptions.topic(symbol, command.channel, command.period, command.variant)

    def _subscribed(self, command: v1.Resync | v1.Why) -> Topic:
        topic = self._topic(command, command.symbol)
        if topic not in self.subscriptions:
            raise InvalidInput(
                "not_subscribed", f"This connection isn't subscribed to {topic}", path="symbol"
            )
        return topic


def _shown(topic: Topic, view: ViewSpec, id_: v1.Id = UNSET, history: int = 0) -> Subscribe:
    return Subscribe(
        topic, view, lambda position: answers.subscribed(topic, view, position, id_), history
    )


def _text(symbol: Any, place: str) -> str:
    """Return a symbol of a list.

    Raises:
        InvalidInput: if it isn't text.
    """
    if isinstance(symbol, str):
        return symbol
    raise InvalidInput(
        "invalid_symbol", f"{place}: a symbol is text, not {shown(symbol)}", path=place
    )


def _check_view(command: v1.Subscribe, topic: Topic) -> None:
    """Refuse options that have no meaning in a channel, rather than ignore them silently."""
    books, events = topic.channel == "orderbook", topic.channel in {"trades", "candles"}
    for name, wrong, where in (
        ("depth", command.depth is not None and not books, "order books"),
        ("mode", command.mode == "delta" and not books, "order books"),
        ("history", command.history and not events, "trades and candles"),
    ):
        if wrong:
            raise InvalidInput(
                "invalid_message", f"{name}: only {where} have it, not {topic.channel}", path=name
            )


def _authenticate(command: v1.Authenticate) -> Authenticate:
    def answer(seconds: float | None) -> Message:
        left = None if seconds is None else milliseconds(seconds)
        return v1.Authenticated(id=command.id, expires_in_ms=left)

    return Authenticate(command.token, answer, lambda error: error_of(error, command.id))


def _publish(command: v1.Publish) -> Publish:
    update = PublishedUpdate(
        channel=command.channel,
        symbol=command.symbol,
        data=command.data,
        period=command.period,
        idempotency_key=command.idempotency_key,
    )
    return Publish(
        update,
        lambda position: answers.published(command, position),
        lambda error: error_of(error, command.id, command.channel, command.symbol),
    )
