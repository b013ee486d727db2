"""One connection that stays up: it reconnects with backoff, and notices a dead peer.

It knows which close codes are final. What the messages mean is its protocol's business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, Literal, Protocol

import msgspec

from bookcast.client.clock import Clock
from bookcast.client.errors import BookcastClientError, Refused
from bookcast.client.tokens import GetToken, Tokens
from bookcast.client.websocket import Opener, Socket
from bookcast.errors import CLOSE_REASONS, FINAL_CODES, CloseCode

logger = logging.getLogger("bookcast.client")

LineState = Literal["connecting", "open", "waiting", "stopped"]


class LineStatus(msgspec.Struct, frozen=True):
    """How the connection stands.

    Attributes:
        state: ``waiting`` until the next attempt; ``stopped``: it won't come back.
        reason: why it isn't open, in words.
        code: the close code of the last connection, where there was one.
        retry_at: while waiting: when the next attempt begins, in milliseconds since 1970.
        final: only a new client connects again.
    """

    state: LineState
    reason: str | None = None
    code: int | None = None
    retry_at: float | None = None
    final: bool = False


class LineProtocol(Protocol):
    """What is spoken over a line. A line calls these; they never raise."""

    def ping(self) -> object:
        """Return the message that is answered by a pong."""

    def opened(self) -> None:
        """The socket is open. :meth:`Line.up` is called once it is of use."""

    def received(self, data: bytes) -> None:
        """A message came."""

    def lost(self) -> None:
        """The socket is gone: what was asked over it won't be answered."""

    def changed(self, status: LineStatus) -> None:
        """The line has another status."""

    def renewed(self, token: str) -> None:
        """A new token is there while the line is open."""

    def failed(self, error: BookcastClientError) -> None:
        """Something went wrong that nobody waits for."""

    def turned_away(self, error: Refused) -> None:
        """The handshake was refused for good. The line ends next."""

    def obeys(self, code: int) -> bool:
        """Return whether to stay away after a close code that says so."""


GOODBYE: Final = 1000
GIVEN_UP: Final = 4000
"""The close code of a socket that is given up. The server keeps the session: we come back."""

FIRST_DELAY: Final = 500.0
LONGEST_DELAY: Final = 20_000.0
GOOD_AFTER: Final = 10_000.0
"""A connection that lived this long was a good one: the backoff starts afresh."""
CONNECT_WITHIN: Final = 8_000.0
"""So long a connection may take until it is of use."""
ANSWER_WITHIN: Final = 5_000.0
"""So long after a ping a peer may be silent."""
PONG_WITHIN: Final = 60_000.0
"""A pong is due within this, however much else arrives: else nothing reaches the peer."""
PING_EVERY: Final = 60_000.0
QUIET: Final = 15_000.0
"""After so long a silence the peer is pinged, unless it promised heartbeats."""
LOOK_EVERY: Final = 5_000.0
LATE: Final = 3_000.0
"""A timer that is late by more than this has slept, with its machine or its loop."""
LONGEST_WAIT: Final = 3_600_000.0
"""What a server may ask to wait at most."""


class Line:
    """The connection of one client. Times are in milliseconds."""

    def __init__(
        self,
        address: str,
        *,
        sockets: Opener,
        clock: Clock,
        protocol: LineProtocol,
        get_token: GetToken | None,
    ) -> None:
        self.status = LineStatus("connecting")
        self.token: str | None = None
        """The token that this connection shows, where there is one."""
        self.tokens: Tokens | None = None
        if get_token is not None:
            self.tokens = Tokens(get_token, clock, self._token_failed)
        self._address = address
        self._sockets = sockets
        self._clock = clock
        self._protocol = protocol
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._socket: Socket | None = None
        # Attempts since the last good connection.
        self._attempts = 0
        # Changes with each connection: what comes for an earlier one is of no use.
        self._turn = 0
        self._not_before = 0.0
        self._is_leaving = False
        self._quiet = QUIET
        self._heard_at = 0.0
        self._is_silent = False
        self._pinged_at = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the connection is of use."""
        return self.status.state == "open"

    def start(self) -> None:
        """Connect, for the first time."""
        self._connect()

    def stop(self) -> None:
        """Close the connection with code 1000, which ends the session."""
        self._end(LineStatus("stopped", "closed", final=True), GOODBYE)

    def fail(self, code: int | None, reason: str) -> None:
        """End for good, since coming back is of no use."""
        self._end(LineStatus("stopped", reason, code, final=True), GIVEN_UP)

    def give_up(self, reason: str, code: int | None = None) -> None:
        """Drop this connection and reconnect."""
        is_first = self._attempts == 0
        self._drop(GIVEN_UP)
        delay = self._clock.backoff(self._attempts, FIRST_DELAY, LONGEST_DELAY)
        self._attempts += 1
        held = self._not_before - self._clock.now()
        if held > 0:
            delay = held + min(delay, FIRST_DELAY)
        elif self._is_leaving and is_first:
            delay = 0.0  # a server that goes away gave each client its own moment
        self._wait(delay, reason, code)
        self._timer("retry", delay, self._connect)

    def up(self, quiet: float | None = None) -> None:
        """Note that the connection is of use now.

        Args:
            quiet: after so long a silence its peer is pinged.
        """
        if self._socket is None or self.is_open:
            return
        self._stop_timers()
        self._quiet = quiet or QUIET
        self._not_before = 0.0
        self._heard_at = self._pinged_at = self._clock.now()
        self._timer("good", GOOD_AFTER, self._be_good)
        self._watch()
        self._change(LineStatus("open"))

    def send(self, message: object) -> None:
        """Send a message, if there is a connection to send it over."""
        if self._socket is not None:
            self._socket.send(msgspec.json.encode(message))

    def ponged(self) -> None:
        """Note that the server answered a ping."""
        self._cancel("answer")

    def hold_off(self, milliseconds: float | None) -> None:
        """Leave the server alone for so long, if the connection ends now."""
        if milliseconds and milliseconds > 0:
            self._not_before = self._clock.now() + min(milliseconds, LONGEST_WAIT)

    def leave_in(self, milliseconds: float) -> None:
        """Come back in so long: the server ends, and chose that moment for this client alone."""
        self._is_leaving = True
        self._timer("leave", milliseconds, lambda: self.give_up("the server leaves"))

    def renew(self) -> None:
        """Show a new token to the server, over this connection or the next one."""
        if self.tokens is not None:
            self._with_token(self.tokens.renew(), self._protocol.renewed)

    def check(self) -> None:
        """Ask the peer whether it is there. Any message puts the deadline off; a pong ends it."""
        if self.is_open:
            self._pinged_at = self._clock.now()
            self.send(self._protocol.ping())
            self._await_answer(self._pinged_at)

    # From the socket

    def opened(self) -> None:
        """Note that the socket is open."""
        self._protocol.opened()

    def received(self, data: bytes) -> None:
        """Take a message."""
        self._heard_at = self._clock.now()
        self._is_silent = False
        self._protocol.received(data)

    def closed(self, code: int, reason: str) -> None:
        """Come back, unless the close code says that it is of no use."""
        why = reason or f"closed with {code}"
        if code == CloseCode.TOKEN_EXPIRED and self.tokens is not None:
            self.tokens.drop()
        if is_final(code) and self._protocol.obeys(code):
            self.fail(code, why)
        else:
            self.give_up(why, code)

    def refused(self, error: Refused) -> None:
        """Come back after a handshake that was refused, unless that is of no use."""
        if error.final:
            self._protocol.turned_away(error)
            self.fail(None, error.message)
        else:
            self.hold_off((error.retry_after or 0) * 1000)
            self.give_up(error.message)

    def _connect(self) -> None:
        self._stop_timers()
        self._turn += 1
        self._is_leaving = False
        self._change(LineStatus("connecting", self.status.reason, self.status.code))
        if self.tokens is None:
            self._open()
        else:
            self._with_token(self.tokens.current(), lambda _token: self._open())

    def _open(self) -> None:
        if self.status.state == "waiting":
            self._change(LineStatus("connecting"))
        self._socket = self._sockets.open(self._address, self)
        self._timer("connect", CONNECT_WITHIN, lambda: self.give_up("too slow to connect"))

    def _with_token(self, coming: asyncio.Future[str], use: Callable[[str], None]) -> None:
        turn = self._turn

        def came(token: asyncio.Future[str]) -> None:
            if not token.cancelled():
                self.token = token.result()
                if turn == self._turn:
                    use(self.token)

        coming.add_done_callback(came)

    def _token_failed(self, error: BookcastClientError, retry_in: float) -> None:
        self._protocol.failed(error)
        if not self.is_open and self._socket is None:
            self._wait(retry_in, error.message)

    def _await_answer(self, asked: float) -> None:
        self._is_silent = True

        def judge() -> None:
            if self._is_silent or self._clock.now() - asked > PONG_WITHIN:
                self.give_up("no pong")
            else:
                self._await_answer(asked)

        self._timer("answer", ANSWER_WITHIN, judge)

    def _watch(self) -> None:
        """Look every few seconds whether the line is silent, or this side has slept."""
        every = min(self._quiet / 2, LOOK_EVERY)
        due = self._clock.now() + every

        def look() -> None:
            now = self._clock.now()
            if now < self._heard_at:  # a clock that was set back would hide a silence
                self._heard_at = self._pinged_at = now
            is_quiet = now - self._heard_at >= self._quiet or now - self._pinged_at >= PING_EVERY
            if now - due > LATE or (is_quiet and "answer" not in self._timers):
                self.check()
            self._watch()

        self._timer("watch", every, look)

    def _be_good(self) -> None:
        self._attempts = 0

    def _wait(self, delay: float, reason: str, code: int | None = None) -> None:
        self._change(LineStatus("waiting", reason, code, self._clock.now() + delay))

    def _drop(self, code: int) -> None:
        """Drop the socket. A dead one closes late: its events are ignored."""
        self._stop_timers()
        self._turn += 1
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close(code)
            self._protocol.lost()

    def _end(self, status: LineStatus, code: int) -> None:
        if self.status.state == "stopped":
            return
        self._drop(code)
        if self.tokens is not None:
            self.tokens.stop()
        self._change(status)

    def _change(self, status: LineStatus) -> None:
        self.status = status
        logger.debug("line: %s %s", status.state, status.reason or "")
        self._protocol.changed(status)

    def _timer(self, name: str, milliseconds: float, callback: Callable[[], Any]) -> None:
        self._cancel(name)

        def fire() -> None:
            del self._timers[name]
            callback()

        self._timers[name] = self._clock.after(milliseconds, fire)

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _stop_timers(self) -> None:
        for name in list(self._timers):
            self._cancel(name)


def is_final(code: int) -> bool:
    """Return whether a client should stay away after a close code."""
    if code in FINAL_CODES:
        return True
    return code in _OURS and not CLOSE_REASONS[CloseCode(code)].reconnect


_OURS: Final = frozenset(CloseCode)
