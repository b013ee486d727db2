"""``bookcast.v1`` of one client. Feed it what the client said; do, in order, what it returns."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import UNSET

from bookcast.errors import InvalidInput, explain
from bookcast.hub.hub import Word
from bookcast.hub.view import ViewSpec
from bookcast.model import Position, Topic
from bookcast.protocol import codec
from bookcast.protocol import messages_v1 as v1
from bookcast.protocol.actions import (
    Action,
    Explain,
    Hide,
    Message,
    Publish,
    Resync,
    Send,
    Show,
)
from bookcast.protocol.published import parse_channel, topic_of
from bookcast.protocol.render import V1, named_variant
from bookcast.protocol.shapes import PublishedUpdate

MAX_SYMBOLS: Final = 1000
"""So many symbols one message may name, or as many as there may be subscriptions."""


class _Head(msgspec.Struct):
    action: str
    id: v1.Id = UNSET


class _Answerable(msgspec.Struct):
    id: v1.Id = UNSET


_head: Final = msgspec.json.Decoder(_Head)
_answerable: Final = msgspec.json.Decoder(_Answerable)
_command: Final[msgspec.json.Decoder[v1.Command]] = msgspec.json.Decoder(v1.Command)
_ACTIONS: Final = tuple(str(kind.__struct_config__.tag) for kind in v1.Command.__args__)


@lru_cache(maxsize=16_384)
def _spec_of(  # cached, so that thousands of clients share the same values
    spelling: str,
    depth: int | None,
    mode: str,
    interval_ms: int,
    deflate: bool,  # noqa: FBT001
) -> ViewSpec:
    return ViewSpec(V1, spelling, depth, mode == "delta", interval_ms, deflate)


class V1Connection:
    """What one client of ``bookcast.v1`` has asked for.

    Args:
        client_id: as the client connected.
        session: the token that it may resume with.
        default_market: of symbols written without one.
        max_subscriptions: topics that it may see.
        deflate: it can take compressed messages.
        heartbeat_ms: after so long a silence it hears a heartbeat.
        now: seconds since 1970.
    """

    __slots__ = (
        "_client_id",
        "_default_market",
        "_deflate",
        "_heartbeat_ms",
        "_max_subscriptions",
        "_now",
        "_session",
        "subscriptions",
    )

    def __init__(
        self,
        *,
        client_id: str,
        session: str,
        default_market: str,
        max_subscriptions: int,
        deflate: bool,
        heartbeat_ms: int,
        now: Callable[[], float],
    ) -> None:
        self._client_id = client_id
        self._session = session
        self._default_market = default_market
        self._max_subscriptions = max_subscriptions
        self._deflate = deflate
        self._heartbeat_ms = heartbeat_ms
        self._now = now
        self.subscriptions: dict[Topic, ViewSpec] = {}

    def open(self, symbols: Sequence[str]) -> list[Action]:
        """Welcome the client; then begin with these symbols, as if it had subscribed to them."""
        welcome = v1.Welcome(
            v1.SUBPROTOCOL, self._client_id, self._session, self._heartbeat_ms, self._time()
        )
        return [
            Send(welcome),
            *(self._subscribe(v1.Subscribe(symbols=list(symbols))) if symbols else ()),
        ]

    def receive(self, data: bytes | str) -> list[Action]:
        """Decide on one text message. Bad input is answered, never raised."""
        try:
            command = _decode(data)
        except InvalidInput as error:
            return self.refuse(error, _id_of(data))
        try:
            return self._decide(command)
        except InvalidInput as error:
            symbol, channel = getattr(command, "symbol", UNSET), getattr(command, "channel", UNSET)
            return [Send(_error(error, command.id, channel, symbol))]

    def _decide(self, command: v1.Command) -> list[Action]:
        match command:
            case v1.Subscribe():
                actions = self._subscribe(command)
            case v1.Unsubscribe():
                actions = self._unsubscribe(command)
            case v1.Ping(id=id_):
                actions = [Send(v1.Pong(id=id_, server_time=self._time()))]
            case v1.ListSubscriptions(id=id_):
                actions = [Send(self._list(id_))]
            case v1.Resync():
                actions = [Resync(self._subscribed(command))]
            case v1.Why():
                actions = [self._why(command)]
            case v1.Publish():
                actions = [_publish(command)]
            case v1.Resume():
                raise InvalidInput(
                    "unknown_session", "This session isn't known here; subscribe again"
                )
            case v1.Authenticate():
                raise InvalidInput(
                    "not_supported", "This server serves everybody: it takes no token"
                )
        return actions

    def refuse(self, error: InvalidInput, id_: v1.Id = UNSET) -> list[Action]:
        """Tell the client that something it sent was wrong."""
        return [Send(_error(error, id_))]

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
        for symbol in self._symbols(command):
            try:
                actions.append(self._show(command, symbol))
            except InvalidInput as error:
                actions.append(Send(_error(error, command.id, command.channel, symbol)))
        return actions

    def _show(self, command: v1.Subscribe, symbol: str) -> Show:
        topic = self._topic(command, symbol)
        _check_view(command, topic)
        if topic not in self.subscriptions and len(self.subscriptions) >= self._max_subscriptions:
            raise InvalidInput(
                "too_many_subscriptions",
                f"This connection has its {self._max_subscriptions} subscriptions already; "
                "unsubscribe from one first",
                path="symbol",
            )
        spec = _spec_of(symbol, command.depth, command.mode, command.interval_ms, self._deflate)
        self.subscriptions[topic] = spec

        def confirm(position: Position | None) -> Message:
            return v1.SubscriptionConfirmed(
                id=command.id,
                channel=topic.channel,
                symbol=symbol,
                **named_variant(topic),
                view=_seen_as(spec),
                epoch=position.epoch if position else None,
                seq=position.seq if position else None,
            )

        return Show(topic, spec, confirm, command.history)

    def _unsubscribe(self, command: v1.Unsubscribe) -> list[Action]:
        actions: list[Action] = []
        for symbol in self._symbols(command):
            try:
                topic = self._topic(command, symbol)
            except InvalidInput as error:
                actions.append(Send(_error(error, command.id, command.channel, symbol)))
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

    def _symbols(self, command: v1.Subscribe | v1.Unsubscribe) -> list[str]:
        one, many = command.symbol, command.symbols
        if (one is UNSET) == (many is UNSET):
            raise InvalidInput(
                "invalid_message", "Name either 'symbol' or a list of 'symbols'", path="symbol"
            )
        if not isinstance(many, list):
            return [str(one)]
        # Each is answered by itself: short questions must not make endless answers.
        most = max(MAX_SYMBOLS, self._max_subscriptions)
        if not 1 <= len(many) <= most:
            fault = f"at most {most} at once, not {len(many)}" if many else "the list is empty"
            raise InvalidInput("invalid_message", f"symbols: {fault}", path="symbols")
        return list(dict.fromkeys(many))

    def _topic(
        self, command: v1.Subscribe | v1.Unsubscribe | v1.Resync | v1.Why, symbol: str
    ) -> Topic:
        return topic_of(
            command.channel, symbol, self._default_market, command.period, variant=command.variant
        )

    def _list(self, id_: v1.Id) -> v1.ListMessage:
        return v1.ListMessage(
            id=id_,
            subscriptions=[
                v1.Listed(
                    channel=topic.channel,
                    symbol=spec.spelling,
                    **named_variant(topic),
                    view=_seen_as(spec),
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


def _limit(word: Word) -> v1.LimitedBy:
    if word.held:
        return "slow"
    if word.status.refusal is not None:
        return "right"
    if word.status.quota is not None:
        return "quota"
    return "interval" if word.view.interval_ms else "none"


def _seen_as(spec: ViewSpec) -> v1.SeenAs:
    return v1.SeenAs(spec.depth, "delta" if spec.delta else "full", spec.interval_ms)


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


def _publish(command: v1.Publish) -> Publish:
    def answer(position: Position) -> Message:
        return v1.PublishedMessage(
            id=command.id,
            channel=parse_channel(command.channel),
            symbol=command.symbol,
            epoch=position.epoch,
            seq=position.seq,
        )

    def refuse(error: InvalidInput) -> Message:
        return _error(error, command.id, command.channel, command.symbol)

    update = PublishedUpdate(command.channel, command.symbol, command.data, command.period)
    return Publish(update, answer, refuse)


def _error(
    error: InvalidInput,
    id_: v1.Id = UNSET,
    channel: str | msgspec.UnsetType = UNSET,
    symbol: str | msgspec.UnsetType = UNSET,
) -> v1.ErrorMessage:
    return v1.ErrorMessage(
        id=id_, code=error.code, message=error.message, channel=channel, symbol=symbol
    )


def _decode(data: bytes | str) -> v1.Command:
    """Read what a client said.

    Raises:
        InvalidInput: with a sentence that names the place.
    """
    try:
        return _command.decode(data)
    except msgspec.ValidationError as error:
        _, sentence = explain(error)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise codec.bad_json(data, error, "invalid_message") from None
    try:
        action = _head.decode(data).action
    except msgspec.ValidationError as error:
        raise codec.invalid("invalid_message", error, "The message") from None
    if action not in _ACTIONS:
        raise InvalidInput(
            "unknown_action",
            f"There is no action {action!r}; there are {', '.join(_ACTIONS)}",
            path="action",
        )
    raise InvalidInput("invalid_message", sentence)


def _id_of(data: bytes | str) -> v1.Id:
    """Find the id in a message that is wrong otherwise."""
    try:
        return _answerable.decode(data).id
    except msgspec.ValidationError:
        return UNSET
    except (msgspec.DecodeError, RecursionError, ValueError):
        return _id_of_almost_json(data)


def _id_of_almost_json(data: bytes | str) -> v1.Id:
    """Find it in a text whose only fault is a number that JSON doesn't have."""
    try:
        return msgspec.convert(json.loads(data), _Answerable).id
    except (msgspec.ValidationError, RecursionError, ValueError):
        return UNSET
