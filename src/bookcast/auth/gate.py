"""Decides who a caller is: one gate for HTTP and WebSocket, so that both give the same answer."""

from __future__ import annotations

import base64
import contextlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from bookcast.auth.addresses import Networks, client_address, neighbourhood, plain
from bookcast.auth.jwks import Jwks, UnknownKey
from bookcast.auth.keys import ApiKeys, RightsFile
from bookcast.auth.origins import MAX_SHOWN, HostPolicy, OriginPolicy
from bookcast.auth.principal import ANYONE, EVERYTHING, Principal, Rights, Scope, anyone, resolve
from bookcast.auth.tokens import Tokens, keys_of
from bookcast.errors import InvalidInput
from bookcast.limits import Refusals
from bookcast.observability.throttle import WarningThrottle
from bookcast.settings import Settings

logger = logging.getLogger(__name__)

BEARER_PROTOCOL: Final = "bearer."
"""A browser offers the subprotocol ``bearer.<token>``: a token's characters are allowed there."""

BEARER_PROTOCOL_BASE64: Final = "base64url.bearer.authorization.k8s.io."
"""The same in the form of Kubernetes, with the token in base64url."""

FORWARDED: Final = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP")
"""Headers with which a proxy names the client that it forwards a request of."""


class AuthRequest(NamedTuple):
    """What a request shows of its sender.

    Attributes:
        peer: the address at the other end of the connection.
        headers: returns all values of a header.
        query: the parameters of the address.
        offered: the subprotocols that the client offers.
        page: a web page may have sent the request without its visitor's knowledge, and it changes
            something or opens a WebSocket.
        stays: the request opens a WebSocket, over which the client may still authenticate.
    """

    peer: str
    headers: Callable[[str], Sequence[str]]
    query: Mapping[str, Sequence[str]] = {}
    offered: Sequence[str] = ()
    page: bool = True
    stays: bool = False


class Caller(NamedTuple):
    """The sender of a request.

    Attributes:
        address: the client's address.
        principal: None: the client isn't authenticated yet.
        proxied: a proxy is in between.
    """

    address: str
    principal: Principal | None
    proxied: bool = False

    @property
    def is_anyone(self) -> bool:
        """Whether the caller is served without authentication."""
        return self.principal is not None and self.principal.kind == ANYONE

    @property
    def account(self) -> str:
        """The account of the caller's use of the server: its principal's id, or its address."""
        if self.principal is None or self.is_anyone:
            return neighbourhood(self.address)
        return self.principal.id

    @property
    def rights(self) -> Rights:
        """The caller's rights.

        Raises:
            InvalidInput: the caller isn't authenticated.
        """
        if self.principal is None:
            raise unauthenticated()
        return self.principal.rights


class Gate:
    """Authenticates callers, and decides whether a page may use its visitor's browser.

    Args:
        mode: AUTH_MODE.
        hosts, origins: which host names and pages are allowed.
        proxies: the proxies whose forwarding headers count.
        refusals: counts refusals by reason.
        tokens, api_keys: verify credentials; None: no such credentials are taken.
        jwks: the token issuer's keys.
        rights: rights of users that a proxy names.
        publish_allow, admin_allow: networks that may do that without a credential.
        cookie: the name of the cookie with the token; None: no cookie counts.
        proxy_header: the header in which a trusted proxy names the user.
        query_token_seconds: bound of the lifetime of a token in an address; 0: none are taken.
        default_market: the market of symbols without one.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        *,
        mode: str,
        hosts: HostPolicy,
        origins: OriginPolicy,
        proxies: Networks,
        refusals: Refusals,
        tokens: Tokens | None = None,
        api_keys: ApiKeys | None = None,
        jwks: Jwks | None = None,
        rights: RightsFile | None = None,
        publish_allow: Networks | None = None,
        admin_allow: Networks | None = None,
        cookie: str | None = None,
        proxy_header: str = "",
        query_token_seconds: float = 0.0,
        default_market: str = "US",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mode = mode
        self._hosts = hosts
        self._origins = origins
        self._proxies = proxies
        self._refusals = refusals
        self._tokens = tokens
        self._api_keys = api_keys
        self.jwks = jwks
        self._rights = rights or RightsFile()
        self._publish_allow = publish_allow or Networks(())
        self._admin_allow = admin_allow or Networks(())
        self._cookie = cookie
        self._proxy_header = proxy_header
        self._query_token_seconds = query_token_seconds
        self._default_market = default_market
        self._warnings = WarningThrottle(clock)
        self._page_warnings = WarningThrottle(clock)

    @classmethod
    def of(cls, settings: Settings, refusals: Refusals, jwks: Jwks | None = None) -> Gate:
        """Return the gate for the settings; ``jwks``: the issuer's keys, if they are known already.

        Raises:
            SettingError: for a key or file that can't be used.
        """
        mode = settings.auth_mode or "none"
        rights = RightsFile()
        if settings.auth_rights_file:
            rights = RightsFile.read(settings.auth_rights_file)
        tokens = api_keys = None
        if mode == "jwt":
            if jwks is None and settings.auth_jwks_url:
                jwks = Jwks(settings.auth_jwks_url)
            tokens = Tokens(
                keys_of(
                    secret=settings.auth_jwt_secret,
                    public_key_file=settings.auth_jwt_public_key_file,
                    jwks=jwks,
                    secrets_file=settings.auth_jwt_secrets_file,
                    strict=settings.production,
                ),
                audience=settings.auth_jwt_audience,
                issuer=settings.auth_jwt_issuer,
                client_id=settings.auth_jwt_client_id,
                skew=settings.auth_clock_skew,
                rights=rights,
                default_market=settings.default_market,
                trusts_foreign=not settings.production
                or bool(settings.auth_jwt_audience or settings.auth_jwt_client_id),
            )
        if settings.auth_api_keys_file:
            api_keys = ApiKeys.read(settings.auth_api_keys_file, settings.default_market)
        return cls(
            mode=mode,
            hosts=HostPolicy.of(settings),
            origins=OriginPolicy.of(settings),
            proxies=Networks(settings.trusted_proxies),
            refusals=refusals,
            tokens=tokens,
            api_keys=api_keys,
            jwks=jwks,
            rights=rights,
            publish_allow=Networks(settings.publish_allow),
            admin_allow=Networks(settings.admin_allow),
            cookie=settings.auth_cookie,
            proxy_header=settings.auth_proxy_header,
            query_token_seconds=settings.auth_query_token_seconds,
            default_market=settings.default_market,
        )

    @property
    def is_open(self) -> bool:
        """Whether callers are served without authentication."""
        return self._mode == "none"

    @property
    def takes_credentials(self) -> bool:
        """Whether tokens or API keys can be verified."""
        return not self._takes_none

    def trusts(self, peer: str) -> bool:
        """Return whether a peer is a trusted proxy, whose forwarding headers count."""
        return self._proxies.contains(peer)

    def check_page(self, auth_request: AuthRequest) -> None:
        """Check that a request doesn't come from a foreign web page.

        Raises:
            InvalidInput: names the setting that would allow it.
        """
        host = ", ".join(auth_request.headers("Host"))
        origin = _joined(auth_request.headers("Origin"))
        try:
            self._hosts.check(host, proxied=self.trusts(auth_request.peer))
            self._origins.check(origin, host)
        except InvalidInput as refusal:
            self._log(refusal, origin or host)
            raise

    def knows_page(self, auth_request: AuthRequest) -> bool:
        """Return whether a page is listed by name, so that cookies count with its requests."""
        return self._origins.knows(
            _joined(auth_request.headers("Origin")), ", ".join(auth_request.headers("Host"))
        )

    def admit(self, auth_request: AuthRequest) -> Caller:
        """Return the sender of a request. Call :meth:`check_page` first.

        Raises:
            InvalidInput: for a wrong credential.
            UnknownKey: fetching the issuer's keys again may help.
        """
        address, proxied = self._address(auth_request)
        principal = self._recognise(auth_request)
        if principal is None:
            own = address if self._is_their_own(address, auth_request) else ""
            principal = self._of_network(own, stays=auth_request.stays)
        return Caller(address, principal, proxied)

    async def require(self, auth_request: AuthRequest, scope: Scope) -> tuple[Caller, Rights]:
        """Return the sender of a request, and its rights, which include ``scope``.

        Raises:
            InvalidInput: the sender may not do this, or its credential is wrong or can't be
                verified.
        """
        caller = await self.identify(auth_request)
        rights = caller.rights
        if caller.is_anyone and self.takes_credentials and scope not in rights.scopes:
            raise unauthenticated()
        rights.check(scope)
        return caller, rights

    async def identify(self, auth_request: AuthRequest) -> Caller:
        """Return the sender of a request, as :meth:`admit` does; fetch unknown keys first.

        Raises:
            InvalidInput: for a credential that is wrong, or can't be verified.
        """
        try:
            return self.admit(auth_request)
        except UnknownKey:
            await self.ask_for_keys()
        try:
            return self.admit(auth_request)
        except UnknownKey:
            raise keys_unavailable() from None

    def verify(self, credential: str) -> Principal:
        """Return the principal of a credential.

        Raises:
            InvalidInput: for a wrong credential.
            UnknownKey: fetching the issuer's keys again may help.
        """
        if self._takes_none:
            raise InvalidInput("not_supported", "This server serves everybody: it takes no token")
        return self._verify(credential)

    async def ask_for_keys(self) -> None:
        """Fetch the token issuer's keys."""
        if self.jwks is not None:
            await self.jwks.ask()

    # Changes of keys and rights

    def take_credentials(self, other: Gate) -> None:
        """Use another gate's keys, secrets and rights from now on."""
        self._tokens, self._api_keys = other._tokens, other._api_keys
        self._rights = other._rights

    def renewed(self, principal: Principal) -> Principal | None:
        """Return a principal with its present rights; None: its key or secret is gone."""
        match principal.kind:
            case "key":
                return None if self._api_keys is None else self._api_keys.of(principal.key)
            case "jwt":
                return None if self._tokens is None else self._tokens.renewed(principal)
            case "user":
                return self._user(principal.name)
        return principal

    # Recognising principals

    def _recognise(self, auth_request: AuthRequest) -> Principal | None:
        credential = _in_header(auth_request)
        if credential is None:
            credential = _in_subprotocol(auth_request.offered)
        if credential is not None and not self._takes_none:
            return self._verify(credential)
        token = next(iter(auth_request.query.get("token", ())), None)
        if token is not None and not self._takes_none:
            if not self._query_token_seconds:
                raise InvalidInput("invalid_token", "No tokens in addresses are taken here")
            return self._verify(token, max_seconds=self._query_token_seconds)
        ambient = self._in_cookie(auth_request)
        if ambient is not None:
            self._check_strictly(auth_request)
            return self._verify(ambient)
        if self._mode == "proxy":
            return self._named_by_proxy(auth_request)
        return None

    @property
    def _takes_none(self) -> bool:
        return self._tokens is None and self._api_keys is None

    def _verify(self, credential: str, *, max_seconds: float | None = None) -> Principal:
        if self._api_keys is not None and max_seconds is None:
            principal = self._api_keys.find(credential)
            if principal is not None:
                return principal
        if self._tokens is None:
            raise InvalidInput("invalid_token", "This API key isn't known here")
        return self._tokens.verify(credential, max_seconds=max_seconds)

    def _in_cookie(self, auth_request: AuthRequest) -> str | None:
        if self._cookie is None or self._tokens is None:
            return None
        for header in auth_request.headers("Cookie"):
            # http.cookies would drop all cookies because of one that it can't parse.
            for cookie in header.split(";"):
                name, equals, value = cookie.strip().partition("=")
                if equals and name == self._cookie:
                    return value.strip('"')
        return None

    def _named_by_proxy(self, auth_request: AuthRequest) -> Principal | None:
        names = auth_request.headers(self._proxy_header)
        if not names:
            return None
        if not self.trusts(auth_request.peer):
            self.warn(f"{self._proxy_header} from {auth_request.peer} is not believed")
            return None
        if len(names) != 1 or not names[0].strip():
            raise InvalidInput("unauthenticated", f"{self._proxy_header} must name one principal")
        self._check_strictly(auth_request)
        name = names[0].strip()
        with contextlib.suppress(UnicodeError):  # the libraries read headers as Latin-1
            name = name.encode("latin-1").decode()
        return self._user(name)

    def _user(self, name: str) -> Principal:
        """Return the principal of a user that a proxy names."""
        rights = resolve(self._rights.grants(name), "read", self._default_market)
        return Principal("user", name, rights)

    def _check_strictly(self, auth_request: AuthRequest) -> None:
        """Refuse foreign pages: a browser sends this credential for any page.

        A browser leaves out the Origin only if a page of the server's own origin reads something.
        """
        origin = _joined(auth_request.headers("Origin"))
        if auth_request.page or origin is not None:
            try:
                self._origins.check_strictly(origin, ", ".join(auth_request.headers("Host")))
            except InvalidInput as refusal:
                self._log(refusal, origin or "")
                raise

    def _of_network(self, address: str, *, stays: bool) -> Principal | None:
        """Return the principal of a request without a credential; None: one is required."""
        publishes = self._publish_allow.contains(address)
        if self.is_open:
            closed = self._publish_allow or self._api_keys is not None
            return anyone(EVERYTHING if publishes or not closed else Rights(_READERS))
        if stays:
            return None
        scopes = frozenset(
            scope
            for scope, allowed in (
                ("publish", publishes),
                ("admin", self._admin_allow.contains(address)),
            )
            if allowed
        )
        return anyone(Rights(scopes)) if scopes else None

    # Addresses

    def _is_their_own(self, address: str, auth_request: AuthRequest) -> bool:
        """Return whether the address identifies this caller rather than a shared proxy."""
        if not any(auth_request.headers(name) for name in FORWARDED):
            return True
        return self.trusts(auth_request.peer) and not self.trusts(address)

    def _address(self, auth_request: AuthRequest) -> tuple[str, bool]:
        forwarded = auth_request.headers("X-Forwarded-For")
        if self.trusts(auth_request.peer):
            return client_address(auth_request.peer, forwarded, self._proxies), True
        proxied = any(auth_request.headers(name) for name in FORWARDED)
        if proxied and _asks_for_others(auth_request):
            self.warn(
                f"{auth_request.peer} forwards requests of others and isn't trusted, so all of "
                "them look like one address"
            )
        return auth_request.peer, proxied

    def warn(self, what: str) -> None:
        """Count what an untrusted proxy does, and log a warning now and then."""
        self._refusals.add("untrusted_proxy")
        if self._warnings.count():
            logger.warning("%s; if that is your proxy, add it to TRUSTED_PROXIES", what)

    def _log(self, refusal: InvalidInput, origin: str) -> None:
        """Log that a page is refused, once a minute for each origin."""
        if self._page_warnings.count((refusal.code, origin[:MAX_SHOWN])):
            logger.warning("refused: %s", refusal.message)


def unauthenticated() -> InvalidInput:
    """Return the refusal of a caller that isn't authenticated."""
    return InvalidInput(
        "unauthenticated", "Say who you are: Authorization: Bearer, with a token or an API key"
    )


def keys_unavailable() -> InvalidInput:
    """Return the refusal of a token that can't be verified now."""
    return InvalidInput("keys_unavailable", "Tokens can't be checked now", retry_after=1)


_READERS: Final = frozenset({"read", "admin"})


def _asks_for_others(auth_request: AuthRequest) -> bool:
    """Return whether forwarding headers name another address than the peer's.

    A load balancer may send the client's address twice, by the PROXY protocol and in
    X-Forwarded-For. Then the peer is the client, and the warning must not advise to trust it as a
    proxy.
    """
    return any(
        plain(hop) != auth_request.peer
        for name in FORWARDED
        for value in auth_request.headers(name)
        for hop in value.split(",")
    )


def _in_header(auth_request: AuthRequest) -> str | None:
    for value in auth_request.headers("Authorization"):
        scheme, _, credential = value.strip().partition(" ")
        if scheme.lower() == "bearer" and credential.strip():
            return credential.strip()
    return next(iter(auth_request.headers("X-API-Key")), None)


def _in_subprotocol(offered: Sequence[str]) -> str | None:
    for protocol in offered:
        if protocol.startswith(BEARER_PROTOCOL_BASE64):
            coded = protocol.removeprefix(BEARER_PROTOCOL_BASE64)
            try:
                return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
            except ValueError:  # invalid base64, ASCII or UTF-8
                raise InvalidInput("invalid_token", "The token isn't valid base64url") from None
        if protocol.startswith(BEARER_PROTOCOL):
            return protocol.removeprefix(BEARER_PROTOCOL)
    return None


def _joined(values: Sequence[str]) -> str | None:
    return ", ".join(values) if values else None
