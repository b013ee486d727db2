"""One WebSocket on one transport: handshake, frames in, frames out, flow control.

An ``asyncio.Protocol`` that uvicorn hands an upgraded connection to, over websockets' sans-I/O
protocol. It holds the transport itself: no task, queue or ASGI call per connection.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import typing
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, cast
from urllib.parse import parse_qs, unquote

import msgspec
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN, SEND_EOF, SERVER, Protocol
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from bookcast.auth import OriginPolicy
from bookcast.errors import CLOSE_REASONS, ERRORS, CloseCode, InvalidInput
from bookcast.hub.hub import Hub
from bookcast.protocol.messages_v1 import SUBPROTOCOL
from bookcast.sessions.framer import Framer, SharedDeflate
from bookcast.sessions.registry import Registry
from bookcast.sessions.session import Peer, PublishAll, Session

logger = logging.getLogger(__name__)
# Handshakes and frames, as the WebSocket library sees them: debug only, and only when asked for.
wire_logger = logging.getLogger(f"{__name__}.wire")
wire_logger.setLevel(logging.WARNING)

PATH: Final = "/ws/"
MAX_CLIENT_ID_LENGTH: Final = 128
MAX_FRAGMENTS: Final = 128
"""Frames of one message. The library bounds a message's bytes, but not a flood of empty frames."""

HIGH_WATER: Final = 32 * 1024
"""With so many bytes waiting in this process, a client counts as unable to take more."""

NOT_SENT_LOW_WATER: Final = 16 * 1024
"""So many unsent bytes may wait in the kernel; by default megabytes would hide a slow client."""

CLOSE_SECONDS: Final = 1.0
"""How long a client has to answer our close frame, or to close after its own was answered."""

TOO_SLOW_SECONDS: Final = 10.0
"""How long a client that was too slow has to take what waits, and our close frame behind it."""

MAX_WAITING_BYTES: Final = 64 * 1024
"""So much of what a publisher sends may wait for the next flush."""

MAX_INBOX: Final = 256
"""So many messages wait while an earlier publication of the client is under way."""

KEEP_ALIVE_SECONDS: Final = 20
"""The kernel asks a peer of whom nothing is heard this often."""


class Begin(typing.Protocol):
    """Makes the session of a client that was let in."""

    def __call__(
        self,
        client_id: str,
        *,
        peer: Peer,
        write: Callable[[bytes], None],
        v1: bool,
        deflate: bool,
    ) -> Session:
        """Make it; see :class:`Session`."""


class Endpoint(msgspec.Struct, frozen=True):
    """What every connection of a server shares.

    ``begin`` makes a client's session. ``publishing_waits``: whether ``publish`` may wait for
    something. ``clock`` gives the hub's monotonic seconds.
    """

    hub: Hub
    registry: Registry
    origins: OriginPolicy
    begin: Begin
    max_message_bytes: int
    framer: Framer
    deflate: bool
    publish: PublishAll
    publishing_waits: bool
    slow_timeout: float
    clock: Callable[[], float]
    loop: asyncio.AbstractEventLoop
    max_fragments: int = MAX_FRAGMENTS


class WebSocket(asyncio.Protocol):
    """One client's connection."""

    __slots__ = (
        "_connections",
        "_endpoint",
        "_fragments",
        "_inbox",
        "_is_text",
        "_protocol",
        "_publishes",
        "_publishing",
        "_session",
        "_transport",
        "_waiting",
    )

    def __init__(self, endpoint: Endpoint, connections: set[Any]) -> None:
        self._endpoint = endpoint
        self._connections = connections
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._protocol: Protocol | None = None
        self._session: Session | None = None
        self._publishes = False
        self._waiting: bytearray | None = None
        self._publishing: asyncio.Task[None] | None = None
        # Messages not yet acted on, and whether each is text.
        self._inbox: list[tuple[bytes, bool]] = []
        self._fragments: list[bytes] = []
        self._is_text = True

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a transport from the HTTP side."""
        self._transport = cast("asyncio.Transport", transport)
        # Before anything is written: else the HTTP side would be told that the client is slow.
        self._transport.set_protocol(self)
        self._connections.add(self)
        _make_slowness_visible(self._transport, self._endpoint.slow_timeout)

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client: first its handshake, then its frames."""
        if self._protocol is None:
            self._handshake(data)
        elif self._waiting is not None or (self._publishes and self._endpoint.hub.is_resting()):
            self._let_wait(data)  # behind what waits already, or it would overtake that
        else:
            self._receive(self._protocol, data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up after the transport is gone."""
        self._connections.discard(self)
        self._receive_waiting()
        if exc is not None:
            logger.debug("transport lost: %s", exc)
        self._end_session()

    def pause_writing(self) -> None:
        """The client takes no more: send nothing, and listen to nothing, until it does."""
        if self._session is not None:
            self._session.hold(self._endpoint.clock())
            self._transport.pause_reading()
            logger.debug("client %r is slow: holding back", self._session.client_id)

    def resume_writing(self) -> None:
        """The client takes data again: give it the newest of what it missed."""
        if self._session is None or self._transport.is_closing():
            return
        logger.debug("client %r takes data again: catching up", self._session.client_id)
        self._session.catch_up()
        self._process()
        self._read_on()

    def _read_on(self) -> None:
        session = self._session
        if session is not None and session.outbox.writable and len(self._inbox) <= MAX_INBOX:
            self._transport.resume_reading()

    # uvicorn's side

    def shutdown(self) -> None:
        """End the connection because the server stops."""
        self.end(CloseCode.RESTART)

    # The handshake

    def _handshake(self, data: bytes) -> None:
        endpoint = self._endpoint
        server = ServerProtocol(
            extensions=[SharedDeflate()] if endpoint.deflate else None,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            select_subprotocol=_select_subprotocol,
            logger=wire_logger,
        )
        server.receive_data(data)
        request = next(iter(server.events_received()), None)
        client_id, symbols, v1 = "", tuple[str, ...](), False
        if isinstance(request, Request):
            try:
                client_id, symbols, v1 = self._admit(request)
                response = server.accept(request)
            except InvalidInput as refusal:
                response = _refusal(server, refusal)
            except Exception:
                logger.exception("a handshake met a fault of ours")
                response = server.reject(500, "The server met a fault of its own\n")
            server.send_response(response)
        answer = b"".join(server.data_to_send())
        # The library answers nothing to what isn't a handshake at all.
        self._transport.write(answer or server.reject(400, "Not a handshake\n").serialize())
        if server.state is not OPEN:
            endpoint.registry.refused += 1
            if server.handshake_exc is not None:
                logger.info("handshake refused: %s", server.handshake_exc)
            self._transport.close()
            return
        # The handshake's state is a few kilobytes that nobody needs again.
        self._protocol = Protocol(
            SERVER, state=OPEN, max_size=endpoint.max_message_bytes, logger=wire_logger
        )
        self._protocol.extensions = server.extensions
        session = self._session = endpoint.begin(
            client_id,
            peer=self,
            write=self._transport.write,
            v1=v1 or server.subprotocol is not None,
            deflate=bool(server.extensions),
        )
        endpoint.registry.add(session)
        logger.info("client %r connected", client_id)
        session.open(symbols)

    def _admit(self, request: Request) -> tuple[str, tuple[str, ...], bool]:
        """Give the client's id, the symbols it begins with, and whether it speaks bookcast.v1.

        Raises:
            InvalidInput: when it may not connect, or not like this.
        """
        path, _, query = request.path.partition("?")
        if not path.startswith(PATH) or "/" in path.removeprefix(PATH):
            raise InvalidInput("not_found", f"Connect to {PATH}{{client_id}}, not to {path}")
        client_id = unquote(path.removeprefix(PATH))
        if not 1 <= len(client_id) <= MAX_CLIENT_ID_LENGTH or not client_id.isprintable():
            raise InvalidInput(
                "invalid_client_id",
                f"A client id has 1 to {MAX_CLIENT_ID_LENGTH} printable characters: "
                f"{PATH}{{client_id}}",
            )
        origins = request.headers.get_all("Origin")
        self._endpoint.origins.check(
            ", ".join(origins) if origins else None, ", ".join(request.headers.get_all("Host"))
        )
        asked = parse_qs(query)
        listed = ",".join(asked.get("symbols", ()))
        symbols = tuple(dict.fromkeys(symbol for symbol in listed.split(",") if symbol))
        # Some tools can't set a subprotocol.
        protocols = asked.get("protocol", [])
        if protocols not in ([], [SUBPROTOCOL]):
            raise InvalidInput(
                "unknown_protocol",
                f"?protocol={','.join(protocols)} isn't spoken here; leave it out for the base "
                f"protocol, or say {SUBPROTOCOL}",
            )
        return client_id, symbols, bool(protocols)

    # Frames in

    def _let_wait(self, data: bytes) -> None:
        """Leave what a publisher sends for the next flush, with which it would go out anyway.

        Read together, many publications cost a third of what they cost one by one.
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
        self._take_events(protocol)
        self._process()
        if protocol.state is not OPEN:
            if self._session is not None:
                self._session.outbox.flush()
            self._end_session()
        elif self._publishing is not None and len(self._inbox) > MAX_INBOX:
            self._transport.pause_reading()
        self._write_answers(protocol)

    def _take_events(self, protocol: Protocol) -> None:
        for event in protocol.events_received():
            if self._session is None:
                return  # it has been said goodbye to
            if not isinstance(event, Frame) or event.opcode not in _DATA:
                continue
            if event.opcode is not Opcode.CONT:
                self._is_text = event.opcode is Opcode.TEXT
            self._fragments.append(bytes(event.data))
            if len(self._fragments) > self._endpoint.max_fragments:
                self.end(CloseCode.POLICY)
                return
            if event.fin:
                message = b"".join(self._fragments)
                self._fragments.clear()
                if self._is_text and not _is_utf8(message):
                    self.end(CloseCode.INVALID_DATA)
                    return
                self._inbox.append((message, self._is_text))

    def _process(self) -> None:
        """Act on what the client said, for as long as it takes our answers."""
        session = self._session
        if session is None or self._publishing is not None:
            return
        try:
            while True:
                self._take_messages(session)
                if not session.has_to_publish:
                    session.outbox.flush()
                    break
                if not self._publish(session):
                    break
        except Exception:
            logger.exception("client %r met a fault of ours", session.client_id)
            self.end(CloseCode.INTERNAL)

    def _take_messages(self, session: Session) -> None:
        done = 0
        try:
            for message, is_text in self._inbox:
                if not session.outbox.writable or session.is_deferring:
                    break
                done += 1
                self._endpoint.registry.received += 1
                if is_text:
                    session.receive(message)
                else:
                    session.receive_binary(message)
        finally:
            del self._inbox[:done]

    def _publish(self, session: Session) -> bool:
        """Publish what the client sent, and tell whether that is done.

        What the client says next waits for the answers.
        """
        self._publishes = True
        session.outbox.flush()
        publishing = session.publish(self._endpoint.publish)
        if self._endpoint.publishing_waits:
            self._publishing = self._endpoint.loop.create_task(self._go_on_after(publishing))
            return False
        run_through(publishing)
        return True

    async def _go_on_after(self, publishing: Coroutine[Any, Any, None]) -> None:
        try:
            await publishing
        except Exception:
            logger.exception("a publication met a fault of ours")
            self.end(CloseCode.INTERNAL)
        finally:
            self._publishing = None
        self._process()
        self._read_on()

    # Frames out

    def _write_answers(self, protocol: Protocol) -> None:
        """Write what the protocol answers by itself: pongs and close frames."""
        chunks = protocol.data_to_send()
        if not chunks or self._transport.is_closing():
            return
        answers = b"".join(chunks)
        if answers:
            self._transport.write(answers)
        if chunks[-1] == SEND_EOF:
            # Closing at once, with bytes of the client's unread, would reset the connection and
            # take our close frame from the client. So: no more from us, then a while for the
            # client to see that.
            self._transport.write_eof()
            self._close_soon()

    def backlog(self) -> int:
        """Tell how many bytes wait in this process for the client to take."""
        return self._transport.get_write_buffer_size()

    def end(self, code: CloseCode) -> None:
        """Say goodbye; the transport closes when the client answers, or after a while anyway."""
        protocol = self._protocol
        if protocol is None:
            self._transport.close()
        elif protocol.state is OPEN:
            self._endpoint.registry.too_slow += code is CloseCode.TOO_SLOW
            protocol.send_close(code, CLOSE_REASONS[code].reason)
            self._end_session()
            self._write_answers(protocol)
            self._close_soon(TOO_SLOW_SECONDS if code is CloseCode.TOO_SLOW else CLOSE_SECONDS)

    def _close_soon(self, seconds: float = CLOSE_SECONDS) -> None:
        self._transport.resume_reading()  # or the client's goodbye would go unheard
        self._endpoint.loop.call_later(seconds, self._transport.abort)

    def _end_session(self) -> None:
        """Let nothing follow a close frame, and free what the session holds."""
        session, self._session = self._session, None
        if session is None:
            return
        self._inbox.clear()
        self._fragments.clear()
        session.close()
        self._endpoint.registry.remove(session)
        logger.info("client %r left: %s", session.client_id, _why(self._protocol))


_DATA: Final = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _refusal(server: ServerProtocol, refusal: InvalidInput) -> Response:
    logger.info("handshake refused: %s", refusal.message)
    return server.reject(ERRORS[refusal.code].status, refusal.message + "\n")


def _why(protocol: Protocol | None) -> str:
    if protocol is None:
        return "no handshake"
    if protocol.close_sent is not None and protocol.close_rcvd_then_sent is not True:
        return f"closed by us, {protocol.close_sent}"
    if protocol.close_rcvd is not None:
        return f"closed by the client, {protocol.close_rcvd}"
    return "the connection was lost"


def run_through(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that waits for nothing, without a task of its own."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise AssertionError(f"{coroutine} waits")


def _select_subprotocol(_server: ServerProtocol, offered: Sequence[Any]) -> Any:
    """Speak bookcast.v1 with whom offers it, and the base protocol with everybody else."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


def _make_slowness_visible(transport: asyncio.Transport, slow_timeout: float) -> None:
    """Let the transport tell us about a slow client after tens of frames instead of megabytes."""
    transport.set_write_buffer_limits(high=HIGH_WATER)
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    for name, value in (
        ("TCP_NOTSENT_LOWAT", NOT_SENT_LOW_WATER),
        # Later than our own word to it, which has a reason in it.
        ("TCP_USER_TIMEOUT", round((slow_timeout + TOO_SLOW_SECONDS) * 1000)),
        ("TCP_KEEPIDLE", KEEP_ALIVE_SECONDS),
        ("TCP_KEEPINTVL", KEEP_ALIVE_SECONDS),
    ):
        option = getattr(socket, name, None)  # not on every platform
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
