"""uvicorn, shaped to our needs: started and stopped in process, signals left to the caller."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import struct
from collections.abc import Callable, Generator
from typing import Any, Final, cast

import msgspec
import uvicorn
from proxyprotocol import ProxyProtocolIncompleteError
from proxyprotocol.detect import ProxyProtocolDetect
from proxyprotocol.result import ProxyResultIPv4, ProxyResultIPv6
from starlette.types import ASGIApp

from bookcast.auth.addresses import neighbourhood, plain
from bookcast.errors import InvalidInput
from bookcast.http import problem
from bookcast.http.http1 import Exchange
from bookcast.http.overflow import Overflow, is_probe
from bookcast.http.target import plain_target
from bookcast.limits import Full, Refusals, Seats, too_many_of
from bookcast.timing import Times

# uvicorn's own words: each malformed request would have one.
_quiet = logging.getLogger(f"{__name__}.uvicorn")
_quiet.setLevel(logging.ERROR)

MAX_HEADERS: Final = 100

BODY_FACTOR: Final = 3
"""A body may take so many times as long as a head."""

MAX_PROXY_HEADER: Final = 4096
"""The PROXY protocol's header is shorter than this."""

PROXY_SIGNATURES: Final = (b"PROXY ", b"\r\n\r\n\x00\r\nQUIT\n")

_proxy_protocol: Final = ProxyProtocolDetect()


class HttpTimes(Times, frozen=True, kw_only=True):
    """How long the server waits for others; what settings say of that stands in HttpLimits.

    Attributes:
        head_seconds: a connection past a limit has so long to send its head.
        keep_alive_seconds: longer than what load balancers and publishers keep an idle connection.
        stop_seconds: requests and connections under way may hold up the end for so long.
    """

    head_seconds: float = 2.0
    keep_alive_seconds: int = 65
    stop_seconds: int = 2


class HttpLimits(msgspec.Struct, frozen=True):
    """What a connection may take before anybody knows who it is.

    ``trusts`` tells whether an address is a proxy's whose word counts, ``warn`` is told what others
    do. ``full`` refuses who is past ``max_sockets``, and ``overflow`` reads them. Times are in
    seconds.
    """

    addresses: Seats
    refusals: Refusals
    full: Full
    overflow: Overflow
    trusts: Callable[[str], bool]
    warn: Callable[[str], None]
    header_timeout: float
    max_header_bytes: int
    max_sockets: int
    times: HttpTimes = HttpTimes()


class HttpProtocol(Exchange):
    """An HTTP connection and its limits.

    It keeps deadlines and bounds that uvicorn doesn't: for the head and body of a request, and for
    the connections of one address.
    """

    def __init__(self, *args: Any, limits: HttpLimits, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = _quiet
        self._limits = limits
        self._deadline: asyncio.TimerHandle | None = None
        self._head_bytes = self._parsed_bytes = 0
        self._rejection: InvalidInput | None = None
        # What came of a PROXY protocol header, None where none may come any more.
        self._proxy_header: bytes | None = None
        self._is_proxied = False
        self._seat: str | None = None
        # Why this connection is past a limit, None where it isn't.
        self._past: InvalidInput | None = None

    @property
    def peer(self) -> str:
        """The address at the other end."""
        return self.client[0] if self.client is not None else ""

    def connection_made(
        self,
        transport: asyncio.Transport,  # type: ignore[override] # uvicorn narrows asyncio's type
    ) -> None:
        """Send small answers and frames at once: asyncio's own loop doesn't see to that here."""
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family in {socket.AF_INET, socket.AF_INET6}:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)
        if self.client is not None:
            self.client = (plain(self.client[0]) or self.client[0], self.client[1])
        self._set_deadline(self._limits.header_timeout)
        self._proxy_header = b""
        if len(self.connections) > self._limits.max_sockets:
            self._go_past(self._limits.full.refuse(self._limits.max_sockets, OPEN_FILES))
        elif not self._limits.trusts(self.peer):
            self._take_seat()

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up."""
        self._set_deadline(None)
        self._leave_seat()
        self._limits.overflow.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, no more of a request's head than the limit."""
        if self._proxy_header is not None:
            rest = self._read_proxy_header(self._proxy_header + data)
            if not rest:
                return
            data = rest
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self._limits.max_header_bytes:
            self.refuse(_too_large(self._limits.max_header_bytes))

    def shutdown(self) -> None:
        """Finish the answer under way, but don't wait for the rest of a request."""
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        if cycle is not None and not cycle.response_complete and cycle.more_body:
            self.transport.close()
        else:
            super().shutdown()

    def switch(self, handshake: bytes, early: bytes) -> None:
        """Hand the transport over, and break the cycle that keeps parser and headers alive."""
        if self._past is not None:  # a probe by its path
            self.turn_away()
            return
        self._set_deadline(None)
        self._leave_seat()  # the WebSocket takes one, where the address may be another
        self._head_bytes = 0
        self.connections.discard(self)
        make: Any = self.ws_protocol_class
        websocket = make(server_state=self.server_state, peer=self.peer, proxied=self._is_proxied)
        self.parser = cast("Any", None)
        self.scope = cast("Any", None)
        self.headers = []
        websocket.connection_made(self.transport)
        websocket.data_received(handshake)
        if early and not self.transport.is_closing():
            websocket.data_received(early)

    # What the parser finds

    def on_message_begin(self) -> None:
        """Wait for the head of the next request on a connection that was kept."""
        if self._deadline is None:
            self._set_deadline(self._limits.header_timeout)
        self._parsed_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count the request's line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._count(len(name) + len(value))
        if len(self.headers) >= MAX_HEADERS:
            self._rejection = InvalidInput(
                "header_too_large", f"A request has at most {MAX_HEADERS} headers"
            )
            raise self._rejection
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Refuse whoever is past a limit, unless it is a probe. Such a connection isn't kept."""
        if self._past is not None and not self._probes:
            self._rejection = self._past
            raise self._past
        super().on_headers_complete()
        if not self._in_head and (self._past or self._too_many()):
            self.cycle.keep_alive = False

    def expect_body(self) -> None:
        """Wait for the body from now on, and refuse whoever has connections enough."""
        self._set_deadline(self._limits.header_timeout * BODY_FACTOR)
        self._limits.overflow.leave(self)
        if self._declined is not None:
            self._limits.refusals.note(self._declined)
        too_many = self._too_many()
        if too_many is not None and not self._probes:
            self._limits.refusals.note(too_many)
            self.app = cast("Any", problem.of(too_many))

    def on_message_complete(self) -> None:
        """Expect the next request, if there is one."""
        super().on_message_complete()
        if not self.parser.should_upgrade():
            self._head_bytes = 0
            self._set_deadline(None)

    def refuse(self, refusal: InvalidInput) -> None:
        """Answer without the application, in the request's turn, and close."""
        self._set_deadline(None)
        if not self.transport.is_closing():
            self._limits.refusals.note(refusal)
        super().refuse(refusal)

    def send_400_response(self, msg: str) -> None:
        """Answer what isn't HTTP, or too much of it."""
        self.refuse(self._rejection or InvalidInput("invalid_request", msg))

    # Deadlines and bounds

    def _count(self, size: int) -> None:
        self._parsed_bytes += size
        if self._parsed_bytes > self._limits.max_header_bytes:
            self._rejection = _too_large(self._limits.max_header_bytes)
            raise self._rejection

    def _set_deadline(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        what = "head" if self._in_head else "body"
        self._deadline = None
        if self._past is not None:
            self.turn_away()
            return
        self.refuse(
            InvalidInput(
                "request_timeout", f"The request's {what} wasn't there in time (HEADER_TIMEOUT)"
            )
        )

    def _take_seat(self) -> None:
        addresses = self._limits.addresses
        seat = neighbourhood(self.peer)
        # Somewhat more than the limit is listened to, so that they can be told.
        if addresses.take(seat, beyond=addresses.limit):
            self._seat = seat
        else:
            self._go_past(too_many_of(self.peer, addresses.limit))

    @property
    def _probes(self) -> bool:
        """Whether the request asks how the node is."""
        target, _ = plain_target(self.url, self.headers)
        return is_probe(self.parser.get_method(), target)

    def _too_many(self) -> InvalidInput | None:
        """Return the refusal of an address that has more connections than its limit."""
        addresses = self._limits.addresses
        if not addresses.limit or self._seat is None:
            return None
        over = addresses.count(self._seat) > addresses.limit
        return too_many_of(self.peer, addresses.limit) if over else None

    def _go_past(self, refusal: InvalidInput) -> None:
        """Read one head of a connection past a limit: only a probe is answered."""
        self._past = refusal
        self._set_deadline(min(self._limits.times.head_seconds, self._limits.header_timeout))
        self._limits.overflow.enter(self)

    def turn_away(self) -> None:
        """Refuse a connection that is past a limit, and close it."""
        assert self._past is not None
        self.refuse(self._past)

    def _leave_seat(self) -> None:
        seat, self._seat = self._seat, None
        if seat is not None:
            self._limits.addresses.leave(seat)

    # The PROXY protocol

    def _read_proxy_header(self, data: bytes) -> bytes:
        """Return what follows the PROXY header, if there is one. Empty: it hasn't all arrived."""
        if not any(data.startswith(one[: len(data)]) for one in PROXY_SIGNATURES):
            self._proxy_header = None
            return data
        if not self._limits.trusts(self.peer):
            self._proxy_header = None
            if data.startswith(PROXY_SIGNATURES):  # and not just a P, as of POST
                self._limits.warn(f"{self.peer} speaks the PROXY protocol and isn't trusted")
            return data
        # The text form ends with its line; the binary one tells its length.
        end = data.find(b"\n") + 1 if data.startswith(PROXY_SIGNATURES[0]) else len(data)
        if not data.startswith(PROXY_SIGNATURES[0]) and len(data) >= PROXY_V2_HEAD:
            end = PROXY_V2_HEAD + int.from_bytes(data[14:16], "big")
        try:
            result = _proxy_protocol.unpack(data[: end or len(data)])
        except ProxyProtocolIncompleteError:
            self._proxy_header = data
            if len(data) > MAX_PROXY_HEADER:
                self.refuse(InvalidInput("invalid_request", "The PROXY header doesn't end"))
            return b""
        except (ValueError, struct.error):  # the latter for addresses that are cut short
            self.refuse(InvalidInput("invalid_request", "The PROXY header can't be read"))
            return b""
        self._proxy_header = None
        if isinstance(result, ProxyResultIPv4 | ProxyResultIPv6):
            source, port = result.source
            self.client = (plain(str(source)) or str(source), port)
            self._is_proxied = True
            if not self._limits.trusts(self.peer) and self._past is None:
                self._take_seat()
        return b"" if self.transport.is_closing() else data[end:]


PROXY_V2_HEAD: Final = 16

OPEN_FILES: Final = "as many as the limit of open files allows (ulimit -n, LimitNOFILE)"


def _too_large(limit: int) -> InvalidInput:
    return InvalidInput(
        "header_too_large", f"A request's head has at most MAX_HEADER_BYTES, {limit} bytes"
    )


class HttpServer(uvicorn.Server):
    """A uvicorn server inside a running event loop.

    ``websocket`` makes the protocol of an upgraded connection from the set of all connections and
    the address at the other end.
    """

    def __init__(
        self,
        app: ASGIApp,
        websocket: Callable[..., asyncio.Protocol],
        limits: HttpLimits,
    ) -> None:
        def upgraded(
            *, server_state: Any, peer: str, proxied: bool, **_rest: Any
        ) -> asyncio.Protocol:
            return websocket(server_state.connections, peer, proxied=proxied)

        config = uvicorn.Config(
            app,
            http=cast("type[asyncio.Protocol]", functools.partial(HttpProtocol, limits=limits)),
            ws=cast("type[asyncio.Protocol]", upgraded),
            interface="asgi3",
            lifespan="off",
            # An embedding program's logging is its own.
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=limits.times.keep_alive_seconds,
            timeout_graceful_shutdown=limits.times.stop_seconds,
        )
        super().__init__(config)
        self._listening = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, sockets: list[socket.socket]) -> None:
        """Serve on these sockets; returns when connections are accepted."""
        self._task = asyncio.create_task(self.serve(sockets), name="http server")
        listening = asyncio.create_task(self._listening.wait())
        await asyncio.wait({self._task, listening}, return_when=asyncio.FIRST_COMPLETED)
        listening.cancel()
        if self._task.done():
            failed, self._task = self._task, None
            await failed

    async def stop(self) -> None:
        """Close the sockets, then the connections; returns when all are gone."""
        self.should_exit = True
        if self._task is not None:
            await self._task
            self._task = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, and tell."""
        await super().startup(sockets)
        self._listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone: in process they are the program's, and the command has its own."""
        yield
