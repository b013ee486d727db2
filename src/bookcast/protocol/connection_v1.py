"""``bookcast.v1`` of one client. Feed it what the client said; do, in order, what it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from msgspec import UNSET

from bookcast.auth.principal import EVERYTHING, Rights
from bookcast.errors import InvalidInput
from bookcast.hub.hub import Word
from bookcast.hub.view import ViewSpec
from bookcast.model import Position, Topic
from bookcast.protocol import codec
from bookcast.protocol import messages_v1 as v1
from bookcast.protocol.actions import (
    Action,
    Authenticate,
    Explain,
    Hide,
    Message,
    Publish,
    Restore,
    Resync,
    Send,
    Show,
)
from bookcast.protocol.answers import MAX_SYMBOLS, error_of, seen_as
from bookcast.protocol.commands_v1 import Aim, Said, aim_of, read_command
from bookcast.protocol.connection import (
    Charge,
    Terms,
    most_subscriptions,
    no_charge,
    too_many,
    unauthenticated,
)
from bookcast.protocol.ignored import MAX_IGNORED, name_ignored
from bookcast.protocol.published import parse_channel, topic_of
from bookcast.protocol.render import V1, named_variant
from bookcast.protocol.resumption import check_since, go_on_since, resume
from bookcast.protocol.shapes import PublishedUpdate
from bookcast.protocol.unknown import unknown_fields


@lru_cache(maxsize=16_384)
def _spec_of(  # cached, so that thousands of clients share the same values
    spelling: str,
    depth: int | None,
    mode: str,
    interval_ms: int,
    deflate: bool,  # noqa: FBT001 - the cache takes no keywords
) -> ViewSpec:
    return ViewSpec(V1, spelling, depth, mode == "delta", interval_ms, deflate)


class V1Connection:
    """What one client of ``bookcast.v1`` has asked for.

    ``subscriptions`` holds each topic shown and how; ``rights`` what the client may do, None while
    nobody knows who it is.

    Args:
        terms: what holds for every connection.
        client_id: as the client connected.
        session: the token that it may resume with.
        deflate: it can take compressed messages.
        heartbeat_ms: after so long a silence it hears a heartbeat.
        authenticate_within_ms: for so long it may go without saying who it is.
        now: seconds since 1970.
        charge: charges it for each message.
    """

    __slots__ = (
        "_authenticate_within_ms",
        "_charge",
        "_client_id",
        "_deflate",
        "_heartbeat_ms",
        "_now",
        "rights",
        "session",
        "subscriptions",
        "terms",
    )

    def __init__(
        self,
        terms: Terms,
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
        self.terms = terms
        self._client_id = client_id
        self.session = session
        self._deflate = deflate
        self._heartbeat_ms = heartbeat_ms
        self._authenticate_within_ms = authenticate_within_ms
        self._now = now
        self._charge = charge
        self.rights = rights
        self.subscriptions: dict[Topic, ViewSpec] = {}

    def welcome(self) -> list[Action]:
        """Welcome the client."""
        welcome = v1.Welcome(
            v1.SUBPROTOCOL,
            self._client_id,
            self.session,
            self._heartbeat_ms,
            self._time(),
            self._authenticate_within_ms if self.rights is None else UNSET,
        )
        return [Send(welcome)]

    def open(self, symbols: Sequence[str]) -> list[Action]:
        """Begin with these symbols, as if the client had subscribed to them."""
        try:
            return self._subscribe(v1.Subscribe(symbols=list(symbols))) if symbols else []
        except InvalidInput as error:
            return self.refuse(error)

    def receive(self, data: bytes | str) -> list[Action]:
        """Decide on one text message. Bad input is answered, never raised."""
        try:
            said = read_command(data)
        except InvalidInput as error:
            aim = aim_of(data)
            return [*name_ignored(self._refuse_unread(error, aim), aim.ignored)]
        command = said.command
        refusal = self._charge(isinstance(command, v1.Publish))
        if refusal is not None:
            return [*name_ignored(self.refuse(refusal, command.id), said.ignored)]
        return [*name_ignored(self._answer(said), said.ignored)]

    def _answer(self, said: Said) -> list[Action]:
        command = said.command
        try:
            return self._decide(said)
        except InvalidInput as error:
            symbol, channel = getattr(command, "symbol", UNSET), getattr(command, "channel", UNSET)
            return [Send(error_of(error, command.id, channel, symbol), error)]

    def _refuse_unread(self, error: InvalidInput, aim: Aim) -> list[Action]:
        """Refuse what can't be read, for each of the symbols that it names."""
        refusal = self._charge(False)  # noqa: FBT003 - no publication
        if refusal is not None:
            return self.refuse(refusal, aim.id)
        symbols = aim.symbols if len(aim.symbols) <= self._most_symbols() else ()
        return [
            Send(error_of(error, aim.id, aim.channel, symbol), error)
            for symbol in symbols or [UNSET]
        ]

    def _decide(self, said: Said) -> list[Action]:
        command = said.command
        if isinstance(command, v1.Ping):
            return [Send(v1.Pong(id=command.id, server_time=self._time()))]
        if isinstance(command, v1.Authenticate):
            return [_authenticate(command)]
        if self.rights is None:
            raise unauthenticated()
        return self._obey(said)

    def _obey(self, said: Said) -> list[Action]:
        match command := said.command:
            case v1.Subscribe():
                actions = self._subscribe(command)
            case v1.Unsubscribe():
                actions = self._unsubscribe(command)
            case v1.ListSubscriptions(id=id_):
                actions = [Send(self._list(id_))]
            case v1.Resync():
                actions = [Resync(self._subscribed(command))]
            case v1.Why():
                actions = [self._why(command)]
            case v1.Publish():
                actions = [self._publish(command)]
            case v1.Resume():
                actions = [resume(self, command, said.faults)]
        return actions

    def refuse(self, error: InvalidInput, id_: v1.Id = UNSET) -> list[Action]:
        """Tell the client that something it sent was wrong."""
        return [Send(error_of(error, id_), error)]

    def heartbeat(self) -> Message:
        """Make the message that breaks a long silence."""
        return v1.Heartbeat(self._time())

    def close(self) -> list[Action]:
        """End all subscriptions."""
        shown, self.subscriptions = self.subscriptions, {}
        return [Hide(topic) for topic in shown]

    def _time(self) -> float:
        return round(self._now() * 1000, 3)

    def _subscribe(self, command: v1.Subscribe) -> list[Action]:
        actions: list[Action] = []
        symbols = self._symbols(command)
        check_since(command, len(symbols))
        for place, symbol in symbols:
            try:
                actions.append(self._show(command, _text(symbol, place)))
            except InvalidInput as error:
                told = error_of(error, command.id, command.channel, symbol)
                actions.append(Send(told, error))
        return actions

    def _show(self, command: v1.Subscribe, symbol: str) -> Show | Restore:
        topic = self._topic(command, symbol)
        _check_view(command, topic)
        self.check(topic)
        mode = command.mode
        spec = self.spec_of(topic, symbol, command.depth, mode, command.interval_ms)
        shown = self._shown(topic, spec, command.id, command.history)
        return shown if command.since is None else go_on_since(shown, command.since)

    def check(self, topic: Topic) -> None:
        """Let the client see a topic.

        Raises:
            InvalidInput: when it has no right to, or subscriptions enough.
        """
        assert self.rights is not None
        self.rights.check("read", topic)
        most = most_subscriptions(self.terms, self.rights)
        if topic not in self.subscriptions and len(self.subscriptions) >= most:
            raise too_many(most)

    def spec_of(
        self, topic: Topic, spelling: str, depth: int | None, mode: str, interval_ms: int
    ) -> ViewSpec:
        """Give the view that the client asked for, as far as its rights go."""
        assert self.rights is not None
        if topic.channel == "orderbook":
            depth = self.rights.depth(depth)
        interval_ms = max(interval_ms, self.rights.min_interval_ms)
        return _spec_of(spelling, depth, mode, interval_ms, self._deflate)

    def _shown(self, topic: Topic, spec: ViewSpec, id_: v1.Id = UNSET, history: int = 0) -> Show:
        self.subscriptions[topic] = spec

        def confirm(position: Position | None) -> v1.SubscriptionConfirmed:
            return v1.SubscriptionConfirmed(
                id=id_,
                channel=topic.channel,
                symbol=spec.spelling,
                **named_variant(topic),
                view=seen_as(spec),
                epoch=position.epoch if position else None,
                seq=position.seq if position else None,
            )

        return Show(topic, spec, confirm, history)

    def _unsubscribe(self, command: v1.Unsubscribe) -> list[Action]:
        actions: list[Action] = []
        for place, symbol in self._symbols(command):
            try:
                topic = self._topic(command, _text(symbol, place))
            except InvalidInput as error:
                told = error_of(error, command.id, command.channel, symbol)
                actions.append(Send(told, error))
                continue
            if self.subscriptions.pop(topic, None) is not None:
                actions.append(Hide(topic))
            confirmed = v1.UnsubscriptionConfirmed(
                id=command.id,
                channel=topic.channel,
                symbol=symbol,
                **named_variant(topic),
            )
            actions.append(Send(confirmed))
        return actions

    def _symbols(self, command: v1.Subscribe | v1.Unsubscribe) -> list[tuple[str, Any]]:
        """Return what a message names, each once, with its place."""
        one, many = command.symbol, command.symbols
        if (one is UNSET) == (many is UNSET):
            raise InvalidInput(
                "invalid_message", "Name either 'symbol' or a list of 'symbols'", path="symbol"
            )
        if not isinstance(many, list):
            return [("symbol", one)]
        # Each is answered by itself: short questions must not make endless answers.
        most = self._most_symbols()
        if not 1 <= len(many) <= most:
            fault = f"at most {most} at once, not {len(many)}" if many else "the list is empty"
            raise InvalidInput("invalid_message", f"symbols: {fault}", path="symbols")
        each: dict[Any, tuple[str, Any]] = {}
        for index, symbol in enumerate(many):
            key = symbol if isinstance(symbol, str) else (index,)
            each.setdefault(key, (f"symbols[{index}]", symbol))
        return list(each.values())

    def _most_symbols(self) -> int:
        return max(MAX_SYMBOLS, self.terms.max_subscriptions)

    def _topic(
        self, command: v1.Subscribe | v1.Unsubscribe | v1.Resync | v1.Why, symbol: str
    ) -> Topic:
        return topic_of(
            command.channel,
            symbol,
            self.terms.default_market,
            command.period,
            variant=command.variant,
        )

    def _list(self, id_: v1.Id) -> v1.ListMessage:
        return v1.ListMessage(
            id=id_,
            subscriptions=[
                v1.Listed(
                    channel=topic.channel,
                    symbol=spec.spelling,
                    **named_variant(topic),
                    view=seen_as(spec),
                )
                for topic, spec in self.subscriptions.items()
            ],
        )

    def _subscribed(self, command: v1.Resync | v1.Why) -> Topic:
        topic = self._topic(command, command.symbol)
        if topic not in self.subscriptions:
            raise InvalidInput(
                "not_subscribed", f"This connection isn't subscribed to {topic}", path="symbol"
            )
        return topic

    def _why(self, command: v1.Why) -> Explain:
        topic = self._subscribed(command)

        def answer(word: Word) -> Message:
            tally = word.tally
            known = tally.sent + tally.gapped + tally.unchanged + word.queued
            return v1.WhyMessage(
                id=command.id,
                channel=topic.channel,
                symbol=command.symbol,
                **named_variant(topic),
                received=tally.received,
                sent=tally.sent,
                conflated=max(0, tally.received - known),
                queued=word.queued,
                gapped=tally.gapped,
                unchanged=tally.unchanged,
                state=word.status.state,
                limited_by=_limit(word),
                last_update_ms=word.last_update_ms,
            )

        return Explain(topic, answer)

    # What the client may see

    def entitle(self, rights: Rights) -> list[Action]:
        """Take note of the client's rights: what they no longer hold for ends, with a reason."""
        before, self.rights = self.subscriptions, rights
        self.subscriptions = {}
        actions: list[Action] = []
        for topic, spec in before.items():
            try:
                self.check(topic)
            except InvalidInput as error:
                message = f"The subscription ended: {error.message}"
                reason = InvalidInput(error.code, message)
                told = error_of(reason, channel=topic.channel, symbol=spec.spelling)
                actions += [Hide(topic), Send(told, reason)]
                continue
            mode = "delta" if spec.delta else "full"
            now = self.spec_of(topic, spec.spelling, spec.depth, mode, spec.interval_ms)
            if now != spec:
                actions.append(self._shown(topic, now))
            else:
                self.subscriptions[topic] = spec
        return actions

    def expiring(self, seconds: float) -> Message:
        """Make the message that asks for another token."""
        return v1.TokenExpiring(max(0.0, round(seconds * 1000, 3)))

    def going_away(self, seconds: float) -> Message:
        """Make the message that tells when to come back, since the server ends."""
        return v1.GoingAway(round(seconds * 1000))

    def _publish(self, command: v1.Publish) -> Publish:
        def answer(position: Position) -> Message:
            channel = parse_channel(command.channel)
            unknown = unknown_fields(channel, command.data, MAX_IGNORED)
            return v1.PublishedMessage(
                id=command.id,
                channel=channel,
                symbol=command.symbol,
                epoch=position.epoch,
                seq=position.seq,
                ignored=[f"data.{path}" for path in unknown] or UNSET,
            )

        def refuse(error: InvalidInput) -> Message:
            return error_of(error, command.id, command.channel, command.symbol)

        update = PublishedUpdate(
            channel=command.channel,
            symbol=command.symbol,
            data=command.data,
            period=command.period,
            idempotency_key=command.idempotency_key,
        )
        return Publish(update, answer, refuse)


def _limit(word: Word) -> v1.LimitedBy:
    if word.held:
        return "slow"
    if word.status.refusal is not None:
        return "right"
    if word.status.quota is not None:
        return "quota"
    return "interval" if word.view.interval_ms else "none"


def _text(symbol: Any, place: str) -> str:
    """Return a symbol of a list.

    Raises:
        InvalidInput: when it isn't text.
    """
    if isinstance(symbol, str):
        return symbol
    raise InvalidInput(
        "invalid_symbol", f"{place}: a symbol is text, not {codec.shown(symbol)}", path=place
    )


def _check_view(command: v1.Subscribe, topic: Topic) -> None:
    """Refuse what has no meaning in a channel, instead of leaving it out silently."""
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
        left = None if seconds is None else round(seconds * 1000, 3)
        return v1.Authenticated(id=command.id, expires_in_ms=left)

    return Authenticate(command.token, answer, lambda error: error_of(error, command.id))
