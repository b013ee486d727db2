"""Requests and responses on one connection, according to RFC 9110 and RFC 9112.

uvicorn lacks some of it: data after an offer to upgrade, data of a client that should wait for 100
Continue, header fields after a body, and the order of refusals among other responses.
"""

from __future__ import annotations

from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bookcast.errors import InvalidInput
from bookcast.http import problem, upgrade
from bookcast.http.target import plain_target


class Exchange(HttpToolsProtocol):
    """An HTTP connection, before it may become a WebSocket."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._application = self.app
        self._in_head = True
        # A refusal to send when all earlier requests are answered; nothing more is read.
        self._last_refusal: InvalidInput | None = None
        # Why a handshake is refused; its request is then answered as one without an upgrade.
        self._declined: InvalidInput | None = None

    # For subclasses

    def expect_body(self) -> None:
        """A request's head is complete; ``self.app`` will answer it."""

    def switch(self, handshake: bytes, early: bytes) -> None:
        """Hand the transport over to a WebSocket.

        Args:
            handshake: the head of the handshake.
            early: what the client sent before it got the response.
        """
        raise NotImplementedError

    def refuse(self, refusal: InvalidInput) -> None:
        """Answer with a refusal instead of the application's response, in its turn, and close."""
        if self.transport.is_closing() or self._last_refusal is not None:
            return
        if self._in_head:  # the request's head isn't complete
            if self._is_busy:
                self._last_refusal = refusal
            else:
                self._end_with(refusal)
        elif self.cycle.response_started:
            self.transport.close()
        else:
            # The application has this request, or would get it later. It is answered here.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.pipeline:
                self.pipeline.popleft()
                self._last_refusal = refusal
            else:
                self._end_with(refusal)

    # Reading

    def data_received(self, data: bytes) -> None:
        """Accept data, unless the last response has been decided on."""
        if self._last_refusal is None:
            self._unset_keepalive_if_required()
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        """Parse data. The parser stops after the head of a request that offers an upgrade."""
        head: bytes | None = b""
        rest = memoryview(data)
        while head is not None:
            try:
                if head:
                    self.parser.feed_data(head)
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as stop:
                rest = rest[stop.args[0] :]
                head = self._take_offer(rest)
            except httptools.HttpParserError:
                self.send_400_response("This isn't HTTP as RFC 9112 has it")
                return
            else:
                return

    def _take_offer(self, rest: memoryview) -> bytes | None:
        """Decide on an offer to upgrade. Return the head to parse again without the offer.

        The request is then read as if it offered nothing: it may have a body, and other requests
        may follow. The parser has no option for that, so a new parser gets the head. None: stop
        parsing.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            self.refuse(InvalidInput("method_not_allowed", "This is no proxy: no CONNECT"))
            return None
        if upgrade.is_handshake(method, version, self.headers):
            self._declined = self._obstacle()
            if self._declined is None:
                if self.expect_100_continue:  # RFC 9110, 7.8: before the 101
                    self.transport.write(upgrade.CONTINUE)
                self.switch(upgrade.handshake_head(self.url, self.headers), bytes(rest))
                return None
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return upgrade.without_offer(method, self.url, version, self.headers)

    def _obstacle(self) -> InvalidInput | None:
        """Return why a handshake can't be accepted; None: it can."""
        what = None
        if self._is_busy:
            # Its response would be written between WebSocket frames.
            what = "A WebSocket's handshake can't follow a request that isn't answered yet"
        elif upgrade.has_body(self.headers):
            what = "A WebSocket's handshake has no body"
        return None if what is None else InvalidInput("invalid_request", what)

    # Called by the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        """Accept a header, but not after a body: it could forge a header that a proxy sets."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Pass the request on, unless it offers an upgrade: see :meth:`_take_offer`."""
        if sum(name == b"host" for name, _ in self.headers) > 1:
            raise ValueError("more than one Host")  # RFC 9112, 3.2: the parser makes it a 400
        self.url, self.headers[:] = plain_target(self.url, self.headers)
        if self.parser.should_upgrade():
            return
        self._in_head = False
        self.app = self._application
        self.expect_body()
        if self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False  # RFC 9110, 10.1.1
        if self._declined is not None:
            self.app = cast("Any", upgrade.closing_after_body(problem.of(self._declined)))
            self._declined = None
        elif self.expect_100_continue:
            self.app = cast("Any", upgrade.closing_unless_asked(cast("Any", self.app)))
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Expect the next request."""
        if not self.parser.should_upgrade():
            self._in_head = True
            super().on_message_complete()

    # Answering

    @property
    def _is_busy(self) -> bool:
        """Whether a request isn't answered yet."""
        cycle: Any = self.cycle  # None before the first request, though its type doesn't say so
        return cycle is not None and not cycle.response_complete

    def on_response_complete(self) -> None:
        """Go on with the next request, or close after the last response."""
        is_last = not self.pipeline
        super().on_response_complete()
        if is_last and self._last_refusal is not None:
            self._end_with(self._last_refusal)

    def _end_with(self, refusal: InvalidInput) -> None:
        if not self.transport.is_closing():
            self.transport.write(problem.as_http(refusal))
            self.transport.close()
