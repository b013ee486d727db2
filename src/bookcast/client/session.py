"""``bookcast.v1`` over a line: the welcome, the token, the session that goes on, and questions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from bookcast.client.clock import Clock
from bookcast.client.errors import BookcastClientError, Refused, Stopped, no_answer, refusal
from bookcast.client.line import Line, LineStatus
from bookcast.client.listeners import call_all
from bookcast.client.tokens import GetToken
from bookcast.client.topic import Name
from bookcast.client.websocket import Opener
from bookcast.client.wire import Failed, Wire
from bookcast.errors import CloseCode
from bookcast.protocol.v1 import messages as v1

logger = logging.getLogger("bookcast.client")

MISSED: Final = 1.5
"""After so many heartbeats' time of silence the server is pinged."""
ANSWER_WITHIN: Final = 10_000.0
RESUME_WITHIN: Final = 60_000.0
"""A session that can't be resumed for so long is given up."""
RENEW_AGAIN_IN: Final = 5.0
RESUME_AGAIN_IN: Final = 1.0


class _Question(NamedTuple):
    """A question that has one answer."""

    answered: Callable[[Any], None]
    failed: Failed
    timer: asyncio.TimerHandle


class _Head(msgspec.Struct):
    """What of a message is read that this release doesn't understand."""

    type: str = ""
    id: Any = None
    channel: Any = None
    symbol: Any = None
    period: Any = None
    variant: Any = None
    seq: Any = None


class Session:
    """One client's session with a server, over one connection after the other."""

    def __init__(
        self,
        address: str,
        *,
        sockets: Opener,
        clock: Clock,
        get_token: GetToken | None,
        token_is_fixed: bool = False,
    ) -> None:
        self.clock = clock
        self.clock_offset = 0.0
        """How much later the server's clock is than this side's, in milliseconds."""
        self.wire = Wire(self, clock)
        self.line = Line(address, sockets=sockets, clock=clock, protocol=self, get_token=get_token)
        self.on_line: list[Callable[[LineStatus], object]] = []
        self.on_error: list[Callable[[BookcastClientError], object]] = []
        self._token_is_fixed = token_is_fixed
        self._decode = msgspec.json.Decoder(v1.Message).decode
        self._questions: dict[int, _Question] = {}
        self._id = 0
        self._quiet: float | None = None
        # The secrets of the session to go on with, and of this connection's own.
        self._session: str | None = None
        self._next: str | None = None
        self._lost_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        # Why the server is about to close.
        self._refusal: BookcastClientError | None = None

    # For the wire and the client

    @property
    def status(self) -> LineStatus:
        """How the line stands."""
        return self.line.status

    def send(self, command: object) -> None:
        """Send a message that needs no answer."""
        self.line.send(command)

    def check(self) -> None:
        """See whether the peer is there: it should have answered."""
        self.line.check()

    def question(self, command: Any, answered: Callable[[Any], None], failed: Failed) -> None:
        """Ask something that has one answer. ``command``: a Struct, or a dict."""
        self._id += 1
        number = self._id

        def late() -> None:
            self._take_question(number)
            failed(no_answer(), is_gone=False)

        timer = self.clock.after(ANSWER_WITHIN, late)
        self._questions[number] = _Question(answered, failed, timer)
        if isinstance(command, dict):
            self.line.send({**command, "id": number})
        else:
            self.line.send(msgspec.structs.replace(command, id=number))

    async def ask(self, command: Any) -> Any:
        """Ask something, and return its one answer.

        Raises:
            BookcastClientError: when an error is the answer, or there is none.
        """
        answer: asyncio.Future[Any] = self.clock.loop.create_future()

        def answered(message: Any) -> None:
            if not answer.done():
                answer.set_result(message)

        def failed(error: BookcastClientError, *, is_gone: bool) -> None:  # noqa: ARG001 - both mean that there is no answer
            if not answer.done():
                answer.set_exception(error)

        self.question(command, answered, failed)
        return await answer

    @property
    def ending(self) -> Stopped:
        """Why the line has stopped for good."""
        status = self.line.status
        told = self._refusal
        if told is not None and told.final and status.code in (None, CloseCode.REFUSED):
            # The error that came before the close says more than its code.
            return Stopped(told.code, told.message, final=True)
        code = "closed" if status.code is None else status.code
        return Stopped(code, status.reason or "closed", final=True)

    def note(self, text: str, name: Name | None = None) -> None:
        """Log what was decided, for whoever wants to know."""
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s: %s", " ".join(filter(None, name)) if name else "session", text)

    # For the line

    def ping(self) -> v1.Ping:
        """Return the message that is answered by a pong."""
        return v1.Ping()

    def opened(self) -> None:
        """Wait for the welcome: the server speaks first."""
        self._refusal = None

    def received(self, data: bytes) -> None:
        """Take a message of the server."""
        try:
            message = self._decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._unreadable(data, error)
            return
        try:
            _HANDLERS[type(message)](self, message)
        except Exception:
            logger.exception("a message was passed over: %.500r", data)

    def lost(self) -> None:
        """Note that the connection is gone: what was asked over it won't be answered."""
        self._lost_at = self.clock.now()
        self._stop_timer()
        for number in list(self._questions):
            question = self._take_question(number)
            if question is not None:
                question.failed(no_answer(), is_gone=True)
        self.wire.lost()

    def changed(self, status: LineStatus) -> None:
        """Report the status of the line. When it has stopped, end everything."""
        call_all(self.on_line, status)
        if status.state == "stopped":
            ending = self.ending
            if ending.code != "closed":
                self.failed(ending)
            for topic in self.wire.topics.values():
                topic.refuse(ending)
        else:
            self.wire.state_may_have_changed()

    def renewed(self, token: str) -> None:
        """Show a token to the server."""

        def answered(told: v1.Authenticated) -> None:
            if self.line.tokens is not None:
                self.line.tokens.accepted(told.expires_in_ms)
            if not self.line.is_open:
                self._admitted()

        def failed(error: BookcastClientError, *, is_gone: bool) -> None:
            if not is_gone:
                self._token_refused(error)

        self.question(v1.Authenticate(token), answered, failed)

    def failed(self, error: BookcastClientError) -> None:
        """Report an error that no caller waits for."""
        logger.warning("%s", error)
        call_all(self.on_error, error)

    def turned_away(self, error: Refused) -> None:
        """Note why the handshake was refused for good."""
        self._refusal = error

    def obeys(self, code: int) -> bool:
        """Return whether to stay away after a close code that says so.

        A token that was good once may be too old by now: only a new one's refusal is final.
        """
        tokens = self.line.tokens
        if code != CloseCode.REFUSED or tokens is None or self._token_is_fixed:
            return True
        was_fresh = tokens.is_fresh
        tokens.drop()
        return was_fresh

    # What the server says

    def _unreadable(self, data: bytes, error: Exception) -> None:
        """Take a message that can't be read: its data are asked for again."""
        self.note(f"unreadable: {error}")
        try:
            head = msgspec.json.decode(data, type=_Head)
            name = Name.of(head)
            topic = self.wire.topics.get(name)
        except (msgspec.DecodeError, UnicodeDecodeError, TypeError, RecursionError):
            return  # what isn't JSON isn't from a bookcast server
        gap = _gap_for_another_reason(data) if head.type == "gap" else None
        if gap is not None:
            self._gap(gap)
        elif topic is not None and (head.seq is not None or head.type == "subscription_confirmed"):
            topic.breaks("a message that can't be read")

    def _welcomed(self, welcome: v1.Welcome) -> None:
        if self.line.is_open:
            return
        self._read_clock(welcome.server_time)
        if welcome.heartbeat_ms > 0:
            self._quiet = welcome.heartbeat_ms * MISSED
        self._next = welcome.session
        if not welcome.authenticate_within_ms:
            self._admitted()
        elif self.line.token is not None:
            self.renewed(self.line.token)
        else:
            self._refusal = Refused(
                "unauthenticated", "a token is needed: pass token or get_token", final=True
            )
            self.line.fail(CloseCode.REFUSED, self._refusal.message)

    def _admitted(self) -> None:
        """Go on with the session, if there was one: the server serves this client."""
        self.line.up(self._quiet)
        self._resume()

    def _resume(self) -> None:
        positions = self.wire.positions() if self.wire.topics else None
        if self._session is None or positions is None:
            self._begin()
            return

        def answered(resumed: v1.Resumed) -> None:
            self.wire.resumed(resumed)
            self._begin()

        def failed(error: BookcastClientError, *, is_gone: bool) -> None:
            if is_gone:
                return
            self.note(error.message)
            if error.code == "no_answer":
                self.line.give_up(error.message)
            elif error.final or self.clock.now() - self._lost_at > RESUME_WITHIN:
                self._begin()
            else:
                self._set_timer(error.retry_after or RESUME_AGAIN_IN, self._resume)

        self.question(v1.Resume(self._session, positions), answered, failed)

    def _begin(self) -> None:
        """From now on topics are asked for on this connection."""
        self._session = self._next
        self.wire.up()

    def _confirmed(self, message: v1.SubscriptionConfirmed) -> None:
        if message.id:
            self._answered(message)
            return
        topic = self.wire.find(Name.of(message))
        if topic is not None:
            # What nobody asked for narrows a view to another token's rights.
            topic.breaks("a narrower view")

    def _unsubscribed(self, message: v1.UnsubscriptionConfirmed) -> None:
        self.wire.unsubscribed(Name.of(message))

    def _status(self, message: v1.StatusMessage) -> None:
        topic = self.wire.find(Name.of(message))
        if topic is not None:
            topic.status(message)

    def _gap(self, message: v1.GapMessage) -> None:
        topic = self.wire.find(Name.of(message))
        if topic is not None:
            topic.gap(message)

    def _data(self, message: Any) -> None:
        topic = self.wire.find(Name.of(message))
        if topic is not None:
            topic.receive(message)

    def _expiring(self, _message: v1.TokenExpiring) -> None:
        if not self._token_is_fixed:
            self.line.renew()

    def _leaving(self, message: v1.GoingAway) -> None:
        self.line.leave_in(message.reconnect_in_ms)

    def _ponged(self, message: v1.Pong) -> None:
        self.line.ponged()
        self._read_clock(message.server_time)

    def _heard(self, message: v1.Heartbeat) -> None:
        # A message that travelled longer makes the server's clock look slower.
        self.clock_offset = max(self.clock_offset, message.server_time - self.clock.now())

    def _read_clock(self, server_time: float) -> None:
        self.clock_offset = server_time - self.clock.now()

    def _answered(self, message: Any) -> None:
        question = self._take_question(message.id)
        if question is not None:
            question.answered(message)

    def _erred(self, told: v1.ErrorMessage) -> None:
        error = refusal(told)
        question = self._take_question(told.id)
        if question is not None:
            question.failed(error, is_gone=False)
        elif not told.id and not self.wire.failed(told, error):
            # It may be why the connection ends now.
            self.line.hold_off(told.retry_after_ms or None)
            self._refusal = error
            self.failed(error)

    def _token_refused(self, error: BookcastClientError) -> None:
        self._refusal = error
        self.failed(error)
        pause = error.retry_after or RENEW_AGAIN_IN
        self.line.hold_off((error.retry_after or 0) * 1000)
        if self._token_is_fixed and error.final:
            self.line.fail(CloseCode.REFUSED, error.message)
        elif self.line.is_open and self.line.tokens is not None:
            self.line.tokens.drop()
            self._set_timer(pause, self.line.renew)
        # Else the server closes it, and the code tells whether to come back.

    def _take_question(self, number: Any) -> _Question | None:
        question = self._questions.pop(number, None) if type(number) is int else None
        if question is not None:
            question.timer.cancel()
        return question

    def _set_timer(self, seconds: float, callback: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.clock.after(seconds * 1000, callback)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


def _gap_for_another_reason(data: bytes) -> v1.GapMessage | None:
    """Read a gap whose reason isn't known to this release: its numbers count nonetheless."""
    told = msgspec.json.decode(data)
    try:
        return msgspec.convert({**told, "reason": "unreadable"}, v1.GapMessage)
    except msgspec.ValidationError:
        return None


_HANDLERS: Final[dict[type, Callable[[Session, Any], None]]] = {
    v1.Welcome: Session._welcomed,  # noqa: SLF001 - the class's own table
    v1.SubscriptionConfirmed: Session._confirmed,  # noqa: SLF001 - the same
    v1.UnsubscriptionConfirmed: Session._unsubscribed,  # noqa: SLF001 - the same
    v1.OrderbookUpdate: Session._data,  # noqa: SLF001 - the same
    v1.OrderbookDelta: Session._data,  # noqa: SLF001 - the same
    v1.TradeMessage: Session._data,  # noqa: SLF001 - the same
    v1.QuoteUpdate: Session._data,  # noqa: SLF001 - the same
    v1.CandleUpdate: Session._data,  # noqa: SLF001 - the same
    v1.BrokersUpdate: Session._data,  # noqa: SLF001 - the same
    v1.TimeframeUpdate: Session._data,  # noqa: SLF001 - the same
    v1.StatusMessage: Session._status,  # noqa: SLF001 - the same
    v1.GapMessage: Session._gap,  # noqa: SLF001 - the same
    v1.WhyMessage: Session._answered,  # noqa: SLF001 - the same
    v1.ListMessage: Session._answered,  # noqa: SLF001 - the same
    v1.PublishedMessage: Session._answered,  # noqa: SLF001 - the same
    v1.Resumed: Session._answered,  # noqa: SLF001 - the same
    v1.Authenticated: Session._answered,  # noqa: SLF001 - the same
    v1.ErrorMessage: Session._erred,  # noqa: SLF001 - the same
    v1.TokenExpiring: Session._expiring,  # noqa: SLF001 - the same
    v1.GoingAway: Session._leaving,  # noqa: SLF001 - the same
    v1.Pong: Session._ponged,  # noqa: SLF001 - the same
    v1.Heartbeat: Session._heard,  # noqa: SLF001 - the same
}
