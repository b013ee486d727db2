"""WebSocket handshakes: who the client is, what it asks for, and whether it is let in."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, unquote

from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from bookcast.auth.addresses import neighbourhood
from bookcast.auth.gate import AuthRequest, Caller, Gate
from bookcast.auth.jwks import UnknownKey
from bookcast.auth.origins import MAX_SHOWN
from bookcast.errors import ERRORS, IN_BAND, InvalidInput, brief
from bookcast.limits import Full, Refusals, Seats, retry_after, too_many_of
from bookcast.observability.throttle import WarningThrottle
from bookcast.protocol.v1.messages import SUBPROTOCOL
from bookcast.sessions.connections import Registry
from bookcast.transport.frames import SharedDeflate

logger = logging.getLogger(__name__)
# The WebSocket library logs whole handshakes, with their tokens: only if enabled by name.
wire_logger = logging.getLogger(f"{__name__}.wire")
wire_logger.setLevel(logging.WARNING)

SWITCHING_PROTOCOLS, UNAUTHORIZED = HTTPStatus.SWITCHING_PROTOCOLS, HTTPStatus.UNAUTHORIZED

PATH: Final = "/ws/"
MAX_CLIENT_ID_LENGTH: Final = 128

BASE_SUBPROTOCOL: Final = "bookcast.base"
"""The base protocol's name. A browser that offers a token needs another name in the answer."""


class Admission(NamedTuple):
    """A client that is let in.

    Attributes:
        caller: the client's address and principal.
        client_id: the client's id, from its address.
        symbols: the symbols in its address.
        speaks_v1: it speaks ``bookcast.v1``, else the base protocol.
        refusal: it is let in only to be sent this error; None: it may stay.
        seat: the key of its seat, released when the connection ends.
    """

    caller: Caller
    client_id: str
    symbols: tuple[str, ...]
    speaks_v1: bool
    refusal: InvalidInput | None = None
    seat: str | None = None


class HandshakeHandler:
    """Decides on handshakes.

    Args:
        gate: authenticates callers.
        registry: the clients that are connected.
        addresses: counts the connections of each address.
        refusals: counts refusals by reason.
        full: makes the refusal when there is no room.
        max_connections: bound of all connections; 0: no limit.
        deflate: offer compression.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        *,
        gate: Gate,
        registry: Registry,
        addresses: Seats,
        refusals: Refusals,
        full: Full,
        max_connections: int = 0,
        deflate: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gate = gate
        self._registry = registry
        self.addresses = addresses
        self._refusals = refusals
        self._full = full
        self._max_connections = max_connections
        self._deflate = deflate
        self._warnings = WarningThrottle(clock)

    def protocol(self) -> ServerProtocol:
        """Return a protocol object that reads one handshake."""
        return ServerProtocol(
            extensions=[SharedDeflate()] if self._deflate else None,
            subprotocols=[Subprotocol(SUBPROTOCOL), Subprotocol(BASE_SUBPROTOCOL)],
            select_subprotocol=_select_subprotocol,
            logger=wire_logger,
        )

    async def ask_for_keys(self) -> None:
        """Fetch the token issuer's keys."""
        await self._gate.ask_for_keys()

    def admit(
        self, server: ServerProtocol, request: Request, peer: str
    ) -> tuple[Admission | None, Response]:
        """Decide on a request. Return the admission, None if it is refused, and the response.

        Raises:
            UnknownKey: try again after fetching the token issuer's keys.
        """
        try:
            admission = self._admit(request, peer)
            response = server.accept(request)
        except UnknownKey:
            raise
        except InvalidInput as refusal:
            return None, self._refuse(server, refusal)
        except Exception:
            logger.exception("a handshake met a fault of ours")
            return None, server.reject(500, "The server met a fault of its own\n")
        if response.status_code != SWITCHING_PROTOCOLS:
            self._refusals.add("invalid_request")
            self.leave(admission.seat)
            return None, response
        self._warn_of_subprotocols(request, peer)
        return admission, response

    def leave(self, seat: str | None) -> None:
        """Release the seat of a connection that has ended."""
        if seat is not None:
            self.addresses.leave(seat)

    def _refuse(self, server: ServerProtocol, refusal: InvalidInput) -> Response:
        self._refusals.note(refusal)
        logger.debug(
            "handshake refused: %s", refusal.message[:MAX_SHOWN], extra={"code": refusal.code}
        )
        status = ERRORS[refusal.code].status
        response = server.reject(status, refusal.message + "\n")
        if refusal.retry_after is not None:
            response.headers["Retry-After"] = retry_after(refusal.retry_after)
        if status == UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    def _warn_of_subprotocols(self, request: Request, peer: str) -> None:
        """Log that a client offers only subprotocols that this server doesn't have.

        The response then names none, and a browser closes the connection. The offered names aren't
        logged: some clients put a token there.
        """
        offered = [name for name in _offered(request) if name]
        spoken = (SUBPROTOCOL, BASE_SUBPROTOCOL)
        if not offered or any(name in spoken for name in offered):
            return
        who = ", ".join(request.headers.get_all("Origin"))[:MAX_SHOWN] or peer
        if self._warnings.count(who):
            logger.warning(
                "%s offers no subprotocol that is spoken here, so a browser closes the connection; "
                "offer %s or %s",
                who,
                *spoken,
            )

    def _admit(self, request: Request, peer: str) -> Admission:
        """Return the admission of a client.

        Raises:
            InvalidInput: the client is refused.
        """
        path, _, query = request.path.partition("?")
        prefix, _, name = path.rpartition("/")
        if f"{prefix}/" != PATH and path != PATH.rstrip("/"):
            raise InvalidInput("not_found", f"Connect to {PATH}{{client_id}}, not to {path}")
        client_id = unquote(name) if prefix else ""
        if not 1 <= len(client_id) <= MAX_CLIENT_ID_LENGTH or not client_id.isprintable():
            raise InvalidInput(
                "invalid_client_id",
                f"A client id has 1 to {MAX_CLIENT_ID_LENGTH} printable characters: "
                f"{PATH}{{client_id}}",
            )
        asked = parse_qs(query)
        offered = _offered(request)
        auth_request = AuthRequest(peer, request.headers.get_all, asked, offered, stays=True)
        speaks_v1 = _speaks_v1(offered, asked)
        listed = (one.strip() for one in ",".join(asked.get("symbols", ())).split(","))
        symbols = tuple(dict.fromkeys(symbol for symbol in listed if symbol))
        try:
            self._gate.check_page(auth_request)
            caller = self._gate.admit(auth_request)
            seat = self._take_seat(caller)
        except InvalidInput as refusal:
            if not request.headers.get_all("Origin") or refusal.code not in IN_BAND:
                raise
            nobody = Caller(peer, None)
            return Admission(nobody, client_id, (), speaks_v1, refusal=refusal)
        return Admission(caller, client_id, symbols, speaks_v1, seat=seat)

    def _take_seat(self, caller: Caller) -> str:
        if caller.principal is None and not self._gate.takes_credentials:
            raise InvalidInput("unauthenticated", "The proxy names nobody")
        if self._max_connections and len(self._registry) >= self._max_connections:
            raise self._full.refuse(self._max_connections, "MAX_CONNECTIONS")
        if caller.principal is not None:
            self._registry.check_room(caller.principal)
        seat = neighbourhood(caller.address)
        if not self.addresses.take(seat):
            raise too_many_of(caller.address, self.addresses.limit)
        return seat


def _offered(request: Request) -> list[str]:
    headers = request.headers.get_all("Sec-WebSocket-Protocol")
    return [name.strip() for header in headers for name in header.split(",")]


def _speaks_v1(offered: Sequence[str], asked: dict[str, list[str]]) -> bool:
    """Return whether the client asks for ``bookcast.v1``. Some tools can't set a subprotocol."""
    protocols = asked.get("protocol", [])
    if protocols not in ([], [SUBPROTOCOL]):
        raise InvalidInput(
            "unknown_protocol",
            f"?protocol={brief(','.join(protocols))} isn't spoken here; leave it out for the base "
            f"protocol, or say {SUBPROTOCOL}",
        )
    return bool(protocols) or SUBPROTOCOL in offered


def _select_subprotocol(_server: ServerProtocol, offered: Sequence[Any]) -> Any:
    """Return an offered protocol's name for the answer, never a token."""
    for name in (SUBPROTOCOL, BASE_SUBPROTOCOL):
        if name in offered:
            return name
    return None
