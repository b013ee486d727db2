"""One WebSocket on one transport: handshake, frames in, frames out, back-pressure.

An ``asyncio.Protocol`` to which uvicorn passes an upgraded connection. It uses websockets' sans-I/O
protocol and owns the transport: there is no task, queue or ASGI call per connection.
"""

from __future__ import annotations

import asyncio
import logging
import typing
import uuid
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, cast

import msgspec
from websockets.exceptions import PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN, SEND_EOF, SERVER, Protocol
from websockets.server import ServerProtocol

from bookcast.auth.jwks import UnknownKey
from bookcast.auth.principal import Principal, Rights
from bookcast.errors import CLOSE_REASONS, FINAL, IN_BAND, CloseCode
from bookcast.hub.hub import Hub
from bookcast.ingest.schemas import PublishedUpdate
from bookcast.sessions.base import ClientTransport, Outcomes, PublishFrom
from bookcast.sessions.connections import Registry
from bookcast.sessions.session import Session
from bookcast.transport.fragments import Assembly
from bookcast.transport.frames import Framer
from bookcast.transport.handshake import Admission, HandshakeHandler
from bookcast.transport.socket_options import is_acknowledged, make_slowness_visible

logger = logging.getLogger(__name__)
# The WebSocket library's log of frames: only for debugging, and only if enabled by name.
wire_logger = logging.getLogger(f"{__name__}.wire")
wire_logger.setLevel(logging.WARNING)

MAX_FRAGMENTS: Final = 128
"""Bound of a message's frames. The library bounds a message's bytes, not its empty frames."""

CLOSE_SECONDS: Final = 1.0
"""How long a client has to answer our close frame, or to close after we answered its own."""

TOO_SLOW_SECONDS: Final = 10.0
"""How long a slow client has to take the waiting data and our close frame behind them."""

MAX_WAITING_BYTES: Final = 64 * 1024
"""At most this many bytes of a publisher wait for the next flush."""

LOST: Final = 1006
"""The code of a connection that ended without a close frame (RFC 6455, 7.1.5)."""

GOODBYES: Final = frozenset({1000, 1001, 1005})
"""Codes of a client's own close frame that end its session for good; 1005 stands for no code.

A client that closes with any other code means to come back, as watchdogs do: that is a loss.
"""

MAX_INBOX: Final = 256
"""At most this many messages wait while an earlier publication of the client is in progress."""


class Begin(typing.Protocol):
    """Makes the session of a client that was let in."""

    def __call__(
        self,
        client_id: str,
        *,
        principal: Principal | None,
        peer: ClientTransport,
        write: Callable[[bytes], None],
        address: str,
        speaks_v1: bool,
        deflate: bool,
    ) -> Session:
        """Return the session; see :class:`Session`."""


class Endpoint(msgspec.Struct, frozen=True):
    """What all connections of a server share.

    Attributes:
        begin: makes a client's session.
        publish: publishes updates of a connection.
        lose_publisher: is called with a connection that has published and has ended.
        slow_timeout: seconds after which a client that takes no data is closed.
        clock: the hub's monotonic seconds.
    """

    hub: Hub
    registry: Registry
    reception: HandshakeHandler
    begin: Begin
    max_message_bytes: int
    framer: Framer
    publish: PublishFrom
    lose_publisher: Callable[[Hashable], None]
    slow_timeout: float
    clock: Callable[[], float]
    loop: asyncio.AbstractEventLoop
    max_fragments: int = MAX_FRAGMENTS


class Frames(Protocol):
    """The library's frame protocol, with one bound for all frames of a message together."""

    def __init__(self, max_message_bytes: int) -> None:
        # The library's limit for messages would count a message's earlier fragments against pings
        # too. So the library's limit here is for each frame, and recv_frame adds a message's up.
        super().__init__(SERVER, state=OPEN, max_size=(None, max_message_bytes), logger=wire_logger)
        self.id = _NO_ID  # nobody reads the id: share one instead of making one per connection

    def recv_frame(self, frame: Frame) -> None:
        """Accept a frame.

        Raises:
            PayloadTooBig: the frame and the message's earlier fragments are too large together.
        """
        if frame.opcode is Opcode.CLOSE:
            # The message will never be complete. The library would take that for a protocol error,
            # and answer a client's goodbye with it.
            self.current_size = None
        elif frame.opcode is Opcode.CONT and self.current_size is not None:
            left = (self.max_fragment_size or 0) - self.current_size
            if len(frame.data) > left:
                raise PayloadTooBig(len(frame.data), left)
        super().recv_frame(frame)


class WebSocket(asyncio.Protocol):
    """One client's connection.

    ``peer``: the address at the other end; ``proxied``: whether a proxy is in between.
    """

    __slots__ = (
        "_address",
        "_assembly",
        "_connections",
        "_endpoint",
        "_inbox",
        "_peer",
        "_protocol",
        "_proxied",
        "_publishes",
        "_received_all_at",
        "_seat",
        "_session",
        "_transport",
        "_waiting",
        "_working",
        "heard_at",
    )

    def __init__(
        self, endpoint: Endpoint, connections: set[Any], peer: str, *, proxied: bool = False
    ) -> None:
        self._endpoint = endpoint
        self._connections = connections
        self._peer = self._address = peer
        self._proxied = proxied
        self._received_all_at = 0.0
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._protocol: Protocol | None = None
        self._session: Session | None = None
        self._seat: str | None = None
        self._publishes = False
        self._waiting: bytearray | None = None
        self._working: asyncio.Task[None] | None = None
        # Received messages that wait, and whether each is text.
        self._inbox: list[tuple[bytes, bool]] = []
        self._assembly: Assembly | None = None
        self.heard_at = endpoint.clock()

    # Called by asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a transport from the HTTP server."""
        self._transport = cast("asyncio.Transport", transport)
        # Before anything is written: else the HTTP server would be notified that the client is
        # slow.
        self._transport.set_protocol(self)
        self._connections.add(self)
        # The kernel's timeout comes after our own close frame, which names a reason.
        give_up = self._endpoint.slow_timeout + TOO_SLOW_SECONDS
        make_slowness_visible(self._transport, give_up)

    def data_received(self, data: bytes) -> None:
        """Accept bytes from the client: first its handshake, then its frames."""
        self.heard_at = self._endpoint.clock()
        if self._protocol is None:
            if self._working is None:
                self._handshake(data)
            else:  # frames that follow a handshake that waits for keys
                self._waiting = (self._waiting or bytearray()) + data
        elif self._waiting is not None or (self._publishes and self._endpoint.hub.is_resting()):
            self._keep_for_flush(data)  # keep the order: earlier bytes wait already
        else:
            self._receive(self._protocol, data)

    def eof_received(self) -> None:
        """The client has closed its side; note whether it had received everything."""
        if not self._proxied and is_acknowledged(self._transport):
            self._received_all_at = self._endpoint.clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up after the transport is closed."""
        self._connections.discard(self)
        self._receive_waiting()
        if exc is not None:
            logger.debug("transport lost: %s", exc, extra=self._fields())
        if self._publishes:
            self._endpoint.lose_publisher(self)
        if self._session is not None:
            self._end_session(
                delivered_before=self._received_all_at or self._session.delivered_before()
            )
        seat, self._seat = self._seat, None
        self._endpoint.reception.leave(seat)

    def pause_writing(self) -> None:
        """The client takes no more data: send nothing and read nothing until it does."""
        if self._session is not None:
            self._session.hold(self._endpoint.clock())
            self._transport.pause_reading()
            logger.debug("client is slow: holding back", extra=self._fields())

    def resume_writing(self) -> None:
        """The client takes data again: send it the newest of what it missed."""
        if self._session is None or self._transport.is_closing():
            return
        logger.debug("client takes data again: catching up", extra=self._fields())
        self._session.catch_up()
        self._process()
        self._read_on()

    def _read_on(self) -> None:
        session = self._session
        if session is not None and session.outbox.writable and len(self._inbox) <= MAX_INBOX:
            self._transport.resume_reading()

    # Called by uvicorn

    def shutdown(self) -> None:
        """Close the connection: the server stops."""
        self.end(CloseCode.RESTART)

    # The handshake

    def _handshake(self, data: bytes, *, asked_for_keys: bool = False) -> None:
        server = self._endpoint.reception.protocol()
        server.receive_data(data)
        request = next(iter(server.events_received()), None)
        admission: Admission | None = None
        if isinstance(request, Request):
            try:
                admission, response = self._endpoint.reception.admit(server, request, self._peer)
            except UnknownKey:
                if not asked_for_keys:
                    self._transport.pause_reading()
                    self._working = self._endpoint.loop.create_task(self._handshake_later(data))
                    return
                response = server.reject(503, "Tokens can't be checked now; try again\n")
            server.send_response(response)
        answer = b"".join(server.data_to_send())
        # The library returns no answer to bytes that aren't a handshake at all.
        self._transport.write(answer or server.reject(400, "Not a handshake\n").serialize())
        if server.state is OPEN and admission is not None:
            self._begin(server, admission)
            return
        self._endpoint.registry.refused += 1
        self._transport.close()

    async def _handshake_later(self, data: bytes) -> None:
        """Try the handshake again, after fetching the token issuer's keys."""
        await self._endpoint.reception.ask_for_keys()
        self._working = None
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._handshake(data, asked_for_keys=True)
            self._receive_waiting()

    def _begin(self, server: ServerProtocol, admission: Admission) -> None:
        endpoint = self._endpoint
        self._seat = admission.seat
        self._address = admission.caller.address
        self._proxied = self._proxied or admission.caller.proxied
        # A new protocol object: the one of the handshake keeps kilobytes that are no longer needed.
        self._protocol = Frames(endpoint.max_message_bytes)
        self._protocol.extensions = server.extensions
        session = self._session = endpoint.begin(
            admission.client_id,
            principal=admission.caller.principal,
            peer=self,
            write=self._transport.write,
            address=admission.seat or "",
            speaks_v1=admission.speaks_v1,
            deflate=bool(server.extensions),
        )
        if admission.refusal is not None:
            endpoint.registry.refused += 1
            session.refuse(admission.refusal)
            self.end(IN_BAND[admission.refusal.code])
            return
        endpoint.registry.add(session)
        logger.debug("connection opened", extra={**self._fields(), "address": self._address})
        session.open(admission.symbols)
        self._process()

    # Frames in

    def _keep_for_flush(self, data: bytes) -> None:
        """Keep a publisher's bytes until the next flush, which would send its updates anyway.

        Many publications read together cost a third of the same ones read one by one.
        """
        if self._waiting is None:
            self._waiting = bytearray()
            self._endpoint.hub.before_flush(self._receive_waiting)
        self._waiting += data
        if len(self._waiting) >= MAX_WAITING_BYTES:
            self._receive_waiting()

    def _receive_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and self._protocol is not None:
            self._receive(self._protocol, bytes(waiting))

    def _receive(self, protocol: Protocol, data: bytes) -> None:
        protocol.receive_data(data)
        if protocol.state is OPEN:
            self._write_answers(protocol)  # a pong shouldn't wait for the messages behind its ping
        self._take_events(protocol)
        self._process()
        if protocol.state is not OPEN:
            if self._session is not None:
                self._session.outbox.flush()
            close = protocol.close_rcvd
            if close is not None and close.code in GOODBYES:
                self._end_session(delivered_before=None)
            elif self._session is not None:
                self._end_session(delivered_before=self._session.delivered_before())
        elif self._working is not None and len(self._inbox) > MAX_INBOX:
            self._transport.pause_reading()
        self._write_answers(protocol)

    def _take_events(self, protocol: Protocol) -> None:
        for event in protocol.events_received():
            if self._session is None:
                return  # the session has ended
            if not isinstance(event, Frame):
                continue
            if event.opcode is Opcode.PONG:
                self._session.receive_pong(bytes(event.data))
            if event.opcode not in _DATA:
                continue
            try:
                self._assemble(event)
            except UnicodeDecodeError:
                self.end(CloseCode.INVALID_DATA)
                return
            if self._assembly and len(self._assembly) > self._endpoint.max_fragments:
                self.end(CloseCode.POLICY)
                return

    def _assemble(self, frame: Frame) -> None:
        """Add a frame to its message; if it is the last, put the message into the inbox."""
        data = bytes(frame.data)
        if frame.opcode is not Opcode.CONT:
            is_text = frame.opcode is Opcode.TEXT
            if frame.fin:
                if is_text:
                    data.decode()
                self._inbox.append((data, is_text))
                return
            self._assembly = Assembly(is_text=is_text)
        assembly = self._assembly
        assert assembly is not None  # the library accepts a continuation only after a beginning
        assembly.add(data, last=frame.fin)
        if frame.fin:
            self._inbox.append((assembly.whole(), assembly.is_text))
            self._assembly = None

    def _process(self) -> None:
        """Act on received messages, while the client takes our answers."""
        session = self._session
        if session is None or self._working is not None:
            return
        try:
            while True:
                self._take_messages(session)
                if not session.has_to_wait:
                    session.outbox.flush()
                    break
                if not self._work(session):
                    break
        except Exception:
            logger.exception("a client met a fault of ours", extra=session.fields())
            self.end(CloseCode.INTERNAL)

    def _take_messages(self, session: Session) -> None:
        done = 0
        try:
            for message, is_text in self._inbox:
                if not session.may_receive:
                    break
                done += 1
                self._endpoint.registry.received += 1
                if is_text:
                    session.receive(message)
                else:
                    session.receive_binary(message)
        finally:
            del self._inbox[:done]

    def _work(self, session: Session) -> bool:
        """Perform what is pending. Return whether it is done.

        It is performed here up to the first wait. The rest becomes a task.
        """
        session.outbox.flush()
        work = session.work(self._publish)
        try:
            work.send(None)
        except StopIteration:
            return True
        self._working = self._endpoint.loop.create_task(work)
        self._working.add_done_callback(self._go_on_after)
        return False

    async def _publish(
        self, updates: Sequence[PublishedUpdate], rights: Rights, principal: str
    ) -> Outcomes:
        self._publishes = True
        try:
            return await self._endpoint.publish(updates, rights, principal, self)
        finally:
            if self not in self._connections:  # the connection was lost meanwhile
                self._endpoint.lose_publisher(self)

    def _go_on_after(self, work: asyncio.Task[None]) -> None:
        self._working = None
        if work.cancelled():
            return
        fault = work.exception()
        if fault is not None:
            logger.error(
                "what a client asked for met a fault of ours", exc_info=fault, extra=self._fields()
            )
            self.end(CloseCode.INTERNAL)
        self._process()
        self._read_on()

    # Frames out

    def _write_answers(self, protocol: Protocol) -> None:
        """Write the protocol's own answers: pongs and close frames."""
        chunks = protocol.data_to_send()
        if not chunks or self._transport.is_closing():
            return
        answers = b"".join(chunks)
        if answers:
            self._transport.write(answers)
        if chunks[-1] == SEND_EOF:
            # If the socket were closed now, with unread bytes of the client, the kernel would reset
            # the connection, and the client would lose our close frame. So send an end of file, and
            # leave the client time to read the close frame.
            self._transport.write_eof()
            self._close_soon()

    def go_on(self) -> None:
        """Run what is pending in the session, though no message has come from the client."""
        self._process()

    def backlog(self) -> int:
        """Return how many bytes wait in this process to be sent."""
        return self._transport.get_write_buffer_size()

    def ping(self, payload: bytes) -> None:
        """Send a WebSocket ping."""
        protocol = self._protocol
        if protocol is not None and protocol.state is OPEN:
            protocol.send_ping(payload)
            self._write_answers(protocol)

    def end(self, code: CloseCode) -> None:
        """Send a close frame; the transport closes when the client answers, or after a while."""
        protocol = self._protocol
        if protocol is None:
            self._transport.close()
        elif protocol.state is OPEN:
            self._endpoint.registry.too_slow += code is CloseCode.TOO_SLOW
            protocol.send_close(code, CLOSE_REASONS[code].reason)
            self._end_session(delivered_before=self._delivered_before(code))
            self._write_answers(protocol)
            self._close_soon(TOO_SLOW_SECONDS if code is CloseCode.TOO_SLOW else CLOSE_SECONDS)

    def _delivered_before(self, code: CloseCode) -> float | None:
        """Return a time: updates sent before it have reached the client. None: the session ends."""
        if self._session is None or code in FINAL:
            return None
        return self._session.delivered_before()

    def _close_soon(self, seconds: float = CLOSE_SECONDS) -> None:
        self._transport.resume_reading()  # so that the client's close frame is read
        self._endpoint.loop.call_later(seconds, self._transport.abort)

    def _end_session(self, *, delivered_before: float | None) -> None:
        """End the session: nothing is sent after a close frame."""
        session, self._session = self._session, None
        if session is None:
            return
        self._inbox.clear()
        self._assembly = None
        self._endpoint.registry.leave(session, delivered_before=delivered_before)
        code, closed_by = _end_of(self._protocol)
        logger.log(
            # A refused client has no number, and is logged at debug level only.
            logging.INFO if session.number else logging.DEBUG,
            "connection closed",
            extra={
                **session.fields(),
                "principal": session.principal_id,
                "address": self._address,
                "code": code,
                "by": closed_by,
                "duration_s": round(session.age, 3),
            },
        )

    def _fields(self) -> dict[str, object]:
        return self._session.fields() if self._session is not None else {"address": self._address}


_NO_ID: Final = uuid.UUID(int=0)
_DATA: Final = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})


def _end_of(protocol: Protocol | None) -> tuple[int, str]:
    """Return the close code of a connection, and which side closed it."""
    if protocol is not None:
        if protocol.close_sent is not None and protocol.close_rcvd_then_sent is not True:
            return int(protocol.close_sent.code), "server"
        if protocol.close_rcvd is not None:
            return int(protocol.close_rcvd.code), "client"
    return LOST, "network"
