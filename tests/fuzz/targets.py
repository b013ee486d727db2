"""What is fed with arbitrary bytes: each target may refuse its input, and do nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import uvicorn
import uvicorn.server

from bookcast.auth.gate import Gate
from bookcast.auth.jwks import UnknownKey
from bookcast.auth.keys import RightsFile
from bookcast.auth.tokens import Tokens, keys_of
from bookcast.background import BackgroundTasks
from bookcast.cluster.members.base import Node
from bookcast.cluster.members.memory import MemoryMembers
from bookcast.engine.memory import MemoryEngine
from bookcast.errors import InvalidInput
from bookcast.http.overflow import Overflow
from bookcast.http.server import HttpLimits, HttpProtocol
from bookcast.ingest import batches
from bookcast.ingest import publication as published
from bookcast.ingest.futu_api.read import read_vendor_form
from bookcast.limits import Full, Refusals, Seats
from bookcast.model.topics import CHANNELS, PERIODS
from bookcast.protocol.actions import Send
from bookcast.protocol.base.commands import decode_command as decode_base_command
from bookcast.protocol.base.connection import BaseConnection
from bookcast.protocol.subscriptions import ConnectionRules
from bookcast.protocol.v1.connection import V1Connection
from bookcast.sessions.connections import Registry
from bookcast.sessions.ownership import SessionOwnership
from bookcast.sessions.store.memory import MemorySessionStore
from bookcast.settings import from_keywords
from bookcast.transport.handshake import HandshakeHandler

_encode: Final = msgspec.json.Encoder().encode
SECRET: Final = "a secret of more than thirty-two bytes"

Target = Callable[[bytes], None]


def decode_command(data: bytes) -> None:
    """A message of the base protocol is a command, or is refused."""
    with contextlib.suppress(InvalidInput):
        decode_base_command(data)


def _receive(connection: BaseConnection | V1Connection, data: bytes) -> None:
    for action in connection.receive(data):
        if isinstance(action, Send):
            _encode(action.message)
    connection.close()


def receive_base(data: bytes) -> None:
    """Whatever a base client says is answered with what can be written."""
    _receive(BaseConnection(ConnectionRules(takes_tokens=True)), data)


def receive_v1(data: bytes) -> None:
    """Whatever a client of bookcast.v1 says is answered with what can be written."""
    connection = V1Connection(
        ConnectionRules(),
        client_id="me",
        session="s",
        deflate=False,
        heartbeat_ms=1000,
        now=lambda: 0.0,
    )
    _receive(connection, data)


def parse_publication(data: bytes) -> None:
    """What is published is taken, or refused; the first byte chooses what it is."""
    rules = published.Rules("US", refuse_crossed=bool(data[:1] < b"\x80"))
    channel = CHANNELS[data[0] % len(CHANNELS)] if data else "orderbook"
    period = PERIODS[data[0] % len(PERIODS)] if data and data[0] % 2 else None
    with contextlib.suppress(InvalidInput):
        for made in (
            read_vendor_form(channel, "AAPL", data[1:], rules=rules, now_ms=0.0, period=period)
            or ()
        ):
            _encode(made.data)
    with contextlib.suppress(InvalidInput):
        publication = published.parse_publication(
            channel,
            "AAPL",
            data[1:],
            rules=rules,
            now_ms=0.0,
            period=period if channel == "candles" else None,
        )
        _encode(publication.data)


def decode_batch(data: bytes) -> None:
    """A batch is taken, or refused, as a whole and one by one."""
    rules = published.Rules("US")
    with contextlib.suppress(InvalidInput):
        for update in batches.decode_batch(data):
            if isinstance(update, InvalidInput):
                continue
            with contextlib.suppress(InvalidInput):
                made = read_vendor_form(
                    update.channel,
                    update.symbol,
                    bytes(update.data),
                    rules=rules,
                    now_ms=0.0,
                    period=update.period,
                )
                if made is None and update.symbol is not None:
                    published.parse_publication(
                        update.channel,
                        update.symbol,
                        bytes(update.data),
                        rules=rules,
                        now_ms=0.0,
                        period=update.period,
                    )


class FakeTransport(asyncio.Transport):
    """Keeps what is written, until it is closed."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Go on: what is fed comes in one go."""

    def resume_reading(self) -> None:
        """Go on."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Leave it to who was here before."""


async def _application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


class _Upgraded(asyncio.Protocol):
    """Takes what is upgraded, and nothing of it."""

    def __init__(self, **_options: Any) -> None:
        pass


@functools.cache
def _http() -> tuple[asyncio.AbstractEventLoop, Callable[[bool], HttpProtocol]]:
    loop = asyncio.new_event_loop()
    config = uvicorn.Config(
        _application, ws=_Upgraded, log_config=None, access_log=False, lifespan="off"
    )
    config.load()

    def connect(trusted: bool) -> HttpProtocol:
        limits = HttpLimits(
            addresses=Seats(0),
            refusals=Refusals(),
            full=Full(time.monotonic),
            overflow=Overflow(),
            trusts=lambda _peer: trusted,
            warn=lambda _what: None,
            header_timeout=3600.0,
            max_header_bytes=2048,
            max_sockets=1000,
        )
        return HttpProtocol(
            config=config,
            server_state=uvicorn.server.ServerState(),
            app_state={},
            _loop=loop,
            limits=limits,
        )

    return loop, connect


def _feed(data: bytes, *, trusted: bool) -> None:
    """The first byte tells into what pieces the rest is cut."""
    loop, connect = _http()

    async def talk() -> None:
        protocol, transport = connect(trusted), FakeTransport()
        protocol.connection_made(transport)
        size = (data[0] if data else 0) or len(data) or 1
        for start in range(1, len(data), size):
            if transport.closed or protocol.parser is None:
                break
            protocol.data_received(data[start : start + size])
        await asyncio.sleep(0)
        assert not transport.written or transport.written.startswith(b"HTTP/1.1 ")
        protocol.connection_lost(None)
        for task in protocol.tasks:
            task.cancel()

    loop.run_until_complete(talk())


def http_head(data: bytes) -> None:
    """A request's head and body, in pieces, are answered or refused."""
    _feed(data, trusted=False)


def proxy_header(data: bytes) -> None:
    """A trusted proxy's header in text or in bytes, in pieces, is taken or refused."""
    signature = (b"PROXY TCP", b"\r\n\r\n\x00\r\nQUIT\n")[bool(data[1:2] < b"\x80")]
    _feed(data[:1] + signature + data[2:], trusted=True)


def _ownership() -> SessionOwnership:
    """Of sessions, of which there are none here."""
    return SessionOwnership(
        MemorySessionStore(),
        MemoryMembers(lambda: Node("", "")),
        begin=BackgroundTasks().begin,
        prepare=MemoryEngine().prepare,
        clock=time.monotonic,
    )


@functools.cache
def _reception() -> HandshakeHandler:
    refusals = Refusals()
    settings = from_keywords(auth_mode="jwt", auth_jwt_secret=SECRET, auth_cookie="token")
    return HandshakeHandler(
        gate=Gate.of(settings, refusals),
        registry=Registry(_ownership()),
        addresses=Seats(0),
        refusals=refusals,
        full=Full(time.monotonic),
    )


HANDSHAKE: Final = (
    b" HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
)


def handshake(data: bytes) -> None:
    """A handshake's address and headers are answered, whatever they are.

    What the HTTP side lets through has no line ends in the address.
    """
    from websockets.http11 import Request

    path, _, headers = data.partition(b"\n")
    path = path.translate(None, b" \r\n\x00\t")[:1000]
    reception = _reception()
    server = reception.protocol()
    lines = [line for line in headers.split(b"\r\n") if line]
    text = b"GET /ws/" + path + HANDSHAKE + b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    server.receive_data(text)
    for request in server.events_received():
        if isinstance(request, Request):
            admission, response = reception.admit(server, request, "127.0.0.1")
            server.send_response(response)
            reception.leave(admission.seat if admission is not None else None)
            assert response.status_code != 500, "the handshake met a fault of ours"


@functools.cache
def _tokens() -> Tokens:
    return Tokens(
        keys_of(secret=SECRET, public_key_file=None, jwks=None),
        audience=None,
        issuer=None,
        skew=10.0,
        rights=RightsFile(),
        default_market="US",
    )


def token(data: bytes) -> None:
    """What isn't a token is refused; the claims of one that is signed may be anything.

    With a first byte below 128 the rest is the claims, else all of it is the token.
    """
    import jwt

    shown = data[1:].decode("latin-1")
    if data[:1] < b"\x80":
        with contextlib.suppress(TypeError, ValueError):
            shown = jwt.api_jws.PyJWS().encode(data[1:], SECRET, algorithm="HS256")
    with contextlib.suppress(InvalidInput, UnknownKey):
        _tokens().verify(shown)


TARGETS: Final[dict[str, Target]] = {
    function.__name__: function
    for function in (
        decode_command,
        receive_base,
        receive_v1,
        parse_publication,
        decode_batch,
        http_head,
        proxy_header,
        handshake,
        token,
    )
}

SEEDS: Final[dict[str, tuple[bytes, ...]]] = {
    "decode_command": (
        b'{"action":"subscribe","symbol":"AAPL"}',
        b'{"action":"authenticate","token":"x"}',
    ),
    "receive_base": (
        b'{"action":"unsubscribe","symbol":"US.AAPL"}',
        b'{"action":"authenticate","token":"x"}',
    ),
    "receive_v1": (
        b'{"action":"subscribe","symbols":["AAPL","TSLA"],"mode":"delta","depth":5,"id":1}',
        (
            b'{"action":"resume","session":"s","positions":[{"channel":"trades","symbol":"A",'
            b'"epoch":"e","seq":1}]}'
        ),
        b'{"action":"publish","channel":"quote","symbol":"A","data":{"last":NaN}}',
        b'{"action":"why","symbol":"A","channel":"candles","period":"1m"}',
    ),
    "parse_publication": (
        b'\x00{"bids":[[1,2],[0.5,3,4]],"asks":[{"price":1,"volume":2}],"timestamp":1}',
        b'\x02{"trades":[{"price":1,"size":2,"side":"buy","timestamp":"2026-01-01T00:00:00Z"}]}',
        b'\x03{"time":1767225600000,"open":1,"high":2,"low":1,"close":1,"volume":0,"final":true,"period":"1m"}',
        b'\x01{"last":1,"pre":{"last":NaN}}',
        b'\x04{"bids":[{"id":1,"name":"x","pos":1}],"asks":[]}',
        b'\x05{"time":1767225600000,"price":1e3}',
    ),
    "decode_batch": (
        b'{"updates":[{"channel":"quote","symbol":"AAPL","data":{"last":189.9}}]}',
        (
            b'{"updates":[{"channel":"candles","symbol":"A","period":"1m","data":{"time":1767225600000,"open":1,'
            b'"high":1,"low":1,"close":1,"volume":0}}]}'
        ),
    ),
    "http_head": (
        b"\x00GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x07POST /broadcast HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"\x00GET /ws/me HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"\x00POST / HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabcGET / HTTP",
    ),
    "proxy_header": (
        b"\x00\xff4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.1\r\n\r\n",
        b"\x05\xff6 ::1 ::2 1 2\r\nGET / HTTP/1.1\r\n\r\n",
        b"\x00\x00\x21\x11\x00\x0c\x0a\x00\x00\x01\x0a\x00\x00\x02\x00\x01\x00\x02GET / HTTP/1.1",
        b"\x03\x00\x20\x00\x00\x00GET / HTTP/1.1\r\n\r\n",
        b"\x00\x00\x21\x21\x00\x24" + bytes(36) + b"GET / HTTP/1.1\r\n\r\n",
    ),
    "handshake": (
        b"me?symbols=AAPL,TSLA&protocol=bookcast.v1\nOrigin: http://localhost\r\n",
        b"%E6%97%A5?token=x.y.z\nSec-WebSocket-Protocol: bookcast.v1, bearer.x.y.z\r\n",
        b"me\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=15\r\n",
        b"me\nX-Forwarded-For: ::1\r\nCookie: token=x\r\nAuthorization: Bearer x\r\n",
        b"me\nSec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.eA\r\n",
    ),
    "token": (
        b'\x00{"sub":"me","exp":1e9,"bookcast":{"symbols":["US.*"],"max_depth":1}}',
        b'\x00{"sub":"me","iss":"x","aud":["a"],"scope":["read"],"nbf":1,"iat":1}',
        b"\xffeyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.x",
    ),
}
