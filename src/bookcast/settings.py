"""Every setting, declared once. Flags, environment names and the documented table derive from it.

A value comes from, in this order: a flag (or a keyword in process), the environment, a file
(``NAME_FILE``, for secrets), the ``.env`` file, the default of the environment (development or
production).
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_type_hints
from urllib.parse import urlsplit

import msgspec
from dotenv import dotenv_values
from msgspec import Meta

from bookcast.errors import InvalidInput, SettingError, explain
from bookcast.model import MARKETS, parse_symbol

ORIGIN: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://([\w.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?")
"""What a browser may send as the origin of a page."""

MIN_SECRET_BYTES: Final = 32
"""RFC 7518, 3.2: as long as the hash. A shorter one can be guessed from a single token."""

MAX_SIMULATED: Final = 100_000
"""Symbols that the simulator may be asked for by number."""

Names = tuple[str, ...]
"""A comma-separated list."""


def _secret(description: str) -> Meta:
    return Meta(description=description, extra={"secret": True})


_Stale = Annotated[
    float,
    Meta(ge=0, description="Seconds without an update until a symbol's status is stale; 0: never"),
]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the server can be told. The environment name of a field is its name in capitals."""

    environment: Annotated[
        Literal["development", "production"],
        Meta(description="Chooses the defaults: convenient on your machine, or strict"),
    ] = "development"
    host: Annotated[str, Meta(description="The address to listen on")] = "127.0.0.1"
    websocket_port: Annotated[
        int,
        Meta(ge=0, le=65535, description="The port for HTTP and WebSocket; 0 picks a free one"),
    ] = 8002
    redis_url: Annotated[
        str | None,
        _secret(
            "Where Redis is, for many nodes: redis:// or rediss://, or one node of a Cluster; "
            "memory:// keeps everything in this process"
        ),
    ] = None
    redis_timeout: Annotated[
        float,
        Meta(gt=0, le=60, description="Redis answers within so many seconds, or counts as away"),
    ] = 1.0
    redis_max_connections: Annotated[
        int, Meta(ge=2, le=1000, description="Connections to Redis for commands; one more listens")
    ] = 16
    redis_ca_file: Annotated[
        str | None,
        Meta(description="Who signed the certificate of a rediss:// Redis, in PEM"),
    ] = None
    redis_prefix: Annotated[
        str,
        Meta(
            description="What the names of all keys and channels in Redis begin with: one of its "
            "own for each deployment that shares a Redis",
        ),
    ] = "bookcast"
    engine_down_publish: Annotated[
        Literal["reject", "local"],
        Meta(
            description="What becomes of what others than the feed publish while Redis is away: "
            "reject answers 503, local gives it to this node's own clients"
        ),
    ] = "reject"
    ready_without_redis: Annotated[
        bool,
        Meta(
            description="Whether /readyz stays ready while Redis is away; before it was reached "
            "once, a node is never ready"
        ),
    ] = True
    workers: Annotated[
        int,
        Meta(
            ge=1, le=256, description="Processes that share the port; more than 1 needs REDIS_URL"
        ),
    ] = 1
    drain_seconds: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="At the end clients are closed one after the other within so many seconds, "
            "so that they don't all come to other nodes at once",
        ),
    ] = 0.0
    feed: Annotated[
        Literal["none", "simulator", "futu", "moomoo"],
        Meta(
            description="Where market data comes from, besides publishers over HTTP; futu and "
            "moomoo are the same"
        ),
    ] = "none"
    simulator_symbols: Annotated[
        Names,
        Meta(description="The simulator's symbols: a list, or a number N for US.S0001…"),
    ] = ("US.AAPL", "US.MSFT", "US.NVDA", "US.TSLA", "HK.00700", "HK.09988")
    simulator_rate: Annotated[
        float, Meta(ge=0.001, le=100_000, description="Book updates per second and symbol")
    ] = 10.0
    simulator_depth: Annotated[
        int, Meta(ge=1, le=200, description="Levels of a simulated book on each side")
    ] = 20
    simulator_seed: Annotated[
        int, Meta(ge=0, description="The same seed makes the same market")
    ] = 1
    futu_host: Annotated[str, Meta(description="Where OpenD runs")] = "127.0.0.1"
    futu_port: Annotated[int, Meta(ge=1, le=65535, description="OpenD's API port")] = 11111
    futu_endpoints: Annotated[
        Names,
        Meta(
            description="Several OpenDs as host:port, the primary first, instead of FUTU_HOST and "
            "FUTU_PORT; a standby is used when those before it can't be reached"
        ),
    ] = ()
    futu_rsa_key_file: Annotated[
        str | None,
        Meta(description="The private RSA key that OpenD has as well: encrypts the connection"),
    ] = None
    futu_pinned: Annotated[
        Names,
        Meta(
            description="Subscribed always and before all others: symbols (their books), or "
            "channel:symbol, candles:symbol:period"
        ),
    ] = ()
    futu_session: Annotated[
        Literal["all", "extended", "regular"],
        Meta(
            description="Which hours count in trades, candles and time frames of US stocks: "
            "extended is without those over night"
        ),
    ] = "all"
    futu_order_details: Annotated[
        bool,
        Meta(description="Books with their single orders, where the account has that right"),
    ] = False
    futu_linger_seconds: Annotated[
        float,
        Meta(ge=0, description="What nobody wants any more stays subscribed for so long"),
    ] = 10.0
    futu_min_subscription_seconds: Annotated[
        float,
        Meta(ge=0, description="OpenD lets go of a subscription no sooner than this"),
    ] = 60.0
    default_market: Annotated[
        str, Meta(description="The market of a symbol written without one (AAPL)")
    ] = "US"
    auth_mode: Annotated[
        Literal["none", "jwt", "keys", "proxy"] | None,
        Meta(
            description="none serves everybody (production starts so only when told in words), "
            "jwt asks for a token, keys for an API key, proxy believes AUTH_PROXY_HEADER"
        ),
    ] = None
    auth_jwt_secret: Annotated[
        str | None,
        _secret("The secret that tokens are signed with (HS256), of at least 32 bytes"),
    ] = None
    auth_jwt_secrets_file: Annotated[
        str | None,
        Meta(
            description="Several secrets (HS256) by the kid that tokens name: TOML, [secrets], "
            'then kid = "…"; a token without a kid is tried on all'
        ),
    ] = None
    auth_jwt_public_key_file: Annotated[
        str | None,
        Meta(description="The public key of whoever signs tokens, in PEM (RS256 or ES256)"),
    ] = None
    auth_jwks_url: Annotated[
        str | None,
        Meta(
            description="Where whoever signs tokens publishes the keys (RS256 or ES256): an "
            "address or a file; asked again every 5 minutes, and for a new key at once"
        ),
    ] = None
    auth_jwt_audience: Annotated[
        str | None, Meta(description="A token's aud must be, or contain, this")
    ] = None
    auth_jwt_issuer: Annotated[str | None, Meta(description="A token's iss must be this")] = None
    auth_clock_skew: Annotated[
        float,
        Meta(ge=0, le=300, description="Seconds that the issuer's clock may differ from ours"),
    ] = 10.0
    auth_api_keys_file: Annotated[
        str | None,
        Meta(description="API keys, hashed, and their rights (bookcast key makes both)"),
    ] = None
    auth_rights_file: Annotated[
        str | None,
        Meta(description="Rights of principals, where their tokens don't say them"),
    ] = None
    auth_cookie: Annotated[
        str | None,
        Meta(description="The cookie that may hold the token, for pages of ALLOWED_ORIGINS"),
    ] = None
    auth_proxy_header: Annotated[
        str,
        Meta(description="With AUTH_MODE=proxy: where a trusted proxy writes who somebody is"),
    ] = "X-Forwarded-User"
    auth_query_token_seconds: Annotated[
        float,
        Meta(ge=0, description="A token in the address (?token=) must expire within this; 0: none"),
    ] = 300.0
    auth_timeout: Annotated[
        float,
        Meta(gt=0, description="Who connects without a token sends one within so many seconds"),
    ] = 10.0
    publish_allow: Annotated[
        Names,
        Meta(
            description="Networks (10.0.0.0/8) whose programs may publish over HTTP without a key"
        ),
    ] = ()
    admin_allow: Annotated[
        Names,
        Meta(
            description="Networks that may read /stats and /metrics without a token, where one "
            "is asked for"
        ),
    ] = ("127.0.0.0/8", "::1")
    trusted_proxies: Annotated[
        Names,
        Meta(
            description="Networks of proxies and balancers whose word counts (X-Forwarded-For, the "
            "PROXY protocol); who comes through others looks like one single address"
        ),
    ] = ()
    allowed_hosts: Annotated[
        Names,
        Meta(
            description="Host names that this server answers to; not set: all, or in development "
            "on a loopback address, those of this machine"
        ),
    ] = ()
    allowed_origins: Annotated[
        Names,
        Meta(
            description="Web origins that may connect and call (https://app.example.com), besides "
            "the server's own; * allows all. Development also allows any localhost port"
        ),
    ] = ()
    max_message_bytes: Annotated[
        int, Meta(ge=128, description="The largest WebSocket message a client may send")
    ] = 64 * 1024
    max_body_bytes: Annotated[
        int, Meta(ge=128, description="The largest HTTP body a publisher may send")
    ] = 1024 * 1024
    max_header_bytes: Annotated[
        int, Meta(ge=1024, description="The largest head of a request: its line and headers")
    ] = 16 * 1024
    header_timeout: Annotated[
        float,
        Meta(
            gt=0,
            description="A request's head must be there within so many seconds of the connection, "
            "and its body within three times as many",
        ),
    ] = 10.0
    max_connections: Annotated[
        int,
        Meta(ge=0, description="WebSockets of all; 0: what the limit of open files allows"),
    ] = 0
    max_connections_per_address: Annotated[
        int, Meta(ge=0, description="Connections of one address; 0: no limit")
    ] = 0
    max_connections_per_principal: Annotated[
        int, Meta(ge=0, description="WebSockets of one principal; 0: no limit")
    ] = 0
    message_rate: Annotated[
        float,
        Meta(
            ge=0,
            description="Messages a second of one connection, ten seconds' worth at once; 0: no "
            "limit",
        ),
    ] = 50.0
    publish_rate: Annotated[
        float,
        Meta(
            ge=0,
            description="Publications a second of one publisher, ten seconds' worth at once; 0: no "
            "limit",
        ),
    ] = 0.0
    max_published_topics: Annotated[
        int,
        Meta(
            ge=0,
            description="Topics that may be published, of all nodes together; a publication of one "
            "more is refused; 0: no limit",
        ),
    ] = 100_000
    session_ttl: Annotated[
        float,
        Meta(ge=0, description="A client that was lost finds its session for so many seconds"),
    ] = 60.0
    session_queue: Annotated[
        Literal["newest", "all"],
        Meta(
            description="What waits for a base client that can't take it: each symbol's newest "
            "book, or every book"
        ),
    ] = "newest"
    session_queue_size: Annotated[
        int, Meta(ge=1, le=100_000, description="With SESSION_QUEUE=all: so many of each symbol")
    ] = 1000
    ping_interval: Annotated[
        float, Meta(gt=0, description="A client is pinged after so many seconds of silence")
    ] = 20.0
    ping_timeout: Annotated[
        float,
        Meta(gt=0, description="One that doesn't answer that for so long is closed with 4009"),
    ] = 20.0
    max_subscriptions: Annotated[int, Meta(ge=1, description="Subscriptions of one connection")] = (
        256
    )
    max_outbox_bytes: Annotated[
        int,
        Meta(
            ge=64 * 1024,
            description="The most that is sent to a client at once when it can take data again; "
            "what is more is a gap",
        ),
    ] = 1024 * 1024
    history_size: Annotated[
        int,
        Meta(ge=1, le=1_000_000, description="Trades, or final candles, kept of each symbol"),
    ] = 1000
    slow_timeout: Annotated[
        float,
        Meta(
            gt=0,
            description="A client that takes nothing for so many seconds is closed with 4008",
        ),
    ] = 30.0
    heartbeat_ms: Annotated[
        int,
        Meta(
            ge=1000,
            description="bookcast.v1 clients hear a heartbeat after so many ms of silence",
        ),
    ] = 10_000
    deflate: Annotated[
        Literal["off", "auto"],
        Meta(description="auto compresses for clients that offer permessage-deflate"),
    ] = "auto"
    deflate_min_bytes: Annotated[
        int, Meta(ge=0, description="Messages shorter than this go out as they are")
    ] = 200
    refuse_crossed_books: Annotated[
        bool,
        Meta(description="Refuse published books whose best bid isn't below the best ask"),
    ] = False
    stale_after_orderbook: _Stale = 30.0
    stale_after_quote: _Stale = 30.0
    stale_after_trades: _Stale = 300.0
    stale_after_candles: _Stale = 300.0
    stale_after_brokers: _Stale = 300.0
    stale_after_timeframe: _Stale = 300.0
    batch_ms: Annotated[
        float,
        Meta(
            ge=0,
            le=1000,
            description="Under load, updates wait at most this many milliseconds for company; "
            "0 sends each at once",
        ),
    ] = 5.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="debug tells why each message was or wasn't sent"),
    ] = "info"

    @property
    def production(self) -> bool:
        """Whether the strict defaults hold."""
        return self.environment == "production"

    @property
    def shares_redis(self) -> bool:
        """Whether there is a Redis, so that nodes can share it."""
        return self.redis_url is not None and not self.redis_url.startswith("memory:")


PRODUCTION_DEFAULTS: Final[Mapping[str, Any]] = {
    "redis_url": "redis://redis:6379",
    "admin_allow": (),
    "max_connections_per_address": 100,
    "publish_rate": 10_000.0,
    "drain_seconds": 30.0,
}
"""Where production starts from another value than :class:`Settings` says."""

FROM_FILE: Final = "the file "
"""What a source begins with that is a file with a secret in it."""

ALIASES: Final[Mapping[str, str]] = {"port": "websocket_port"}
"""Short names for flags and keywords."""


class Description(msgspec.Struct, frozen=True):
    """One setting as a person sees it."""

    field: str
    type: Any
    help: str
    default: Any
    secret: bool

    @property
    def environment_name(self) -> str:
        """The name in the environment and in ``.env``."""
        return self.field.upper()

    @property
    def flag(self) -> str:
        """The name on the command line."""
        return "--" + self.field.replace("_", "-")

    @property
    def choices(self) -> tuple[str, ...]:
        """The values allowed, where they are a fixed list."""
        return tuple(
            choice
            for member in (self.type, *get_args(self.type))
            for choice in (get_args(member) if _is_literal(member) else ())
        )


def _is_literal(type_: Any) -> bool:
    return getattr(type_, "__origin__", None) is Literal


def describe() -> list[Description]:
    """List all settings in the order of their declaration."""
    hints = get_type_hints(Settings, include_extras=True)
    described = []
    for field in msgspec.structs.fields(Settings):
        type_, meta = get_args(hints[field.name])
        described.append(
            Description(
                field=field.name,
                type=type_,
                help=meta.description,
                default=field.default,
                secret=bool((meta.extra or {}).get("secret")),
            )
        )
    return described


class Loaded(msgspec.Struct, frozen=True):
    """Settings and, for each, where its value came from."""

    settings: Settings
    sources: Mapping[str, str]


def load(
    flags: Mapping[str, str | None] | None = None,
    environ: Mapping[str, str] | None = None,
    env_file: Path | None = Path(".env"),
) -> Loaded:
    """Read the settings of a server from everywhere they may stand.

    ``flags`` holds field names with the text given, None where a flag wasn't used.

    Raises:
        SettingError: naming the setting, its value and where it came from.
    """
    environ = os.environ if environ is None else environ
    found: dict[str, tuple[str, str]] = {}
    from_file = _read_env_file(env_file)
    for description in describe():
        given = _find(description, flags or {}, environ, from_file)
        if given is not None:
            found[description.field] = given
    defaults = PRODUCTION_DEFAULTS if _text(found, "environment") == "production" else {}
    values = {field: _convert(field, text, source) for field, (text, source) in found.items()}
    sources = {field: source for field, (_, source) in found.items()}
    for field, value in defaults.items():
        if field not in values:
            values[field] = value
            sources[field] = "the default in production"
    settings = Settings(**values)
    check(settings, sources)
    return Loaded(settings, sources)


def from_keywords(**keywords: Any) -> Settings:
    """Make settings in process. The environment isn't read: a program says what it wants.

    Raises:
        SettingError: for an unknown keyword or a wrong value.
    """
    values: dict[str, Any] = {}
    hints = get_type_hints(Settings, include_extras=True)
    if keywords.get("environment") == "production":
        values.update(PRODUCTION_DEFAULTS)
    for keyword, value in keywords.items():
        field = ALIASES.get(keyword, keyword)
        if field not in hints:
            known = ", ".join(d.field for d in describe())
            raise SettingError(f"There is no setting {keyword!r}; there are: {known}")
        try:
            values[field] = msgspec.convert(value, hints[field])
        except msgspec.ValidationError as error:
            raise SettingError(_sentence(field, repr(value), "the caller", error)) from None
    settings = Settings(**values)
    check(settings, {})
    return settings


def check(settings: Settings, sources: Mapping[str, str]) -> None:
    """Hold the rules that no single type can express.

    Raises:
        SettingError: naming the setting that breaks one.
    """
    if settings.default_market not in MARKETS:
        raise SettingError(
            f"DEFAULT_MARKET is {settings.default_market!r}{_from(sources, 'default_market')}; "
            f"it must be one of {', '.join(sorted(MARKETS))}"
        )
    if settings.production and settings.auth_mode is None:
        raise SettingError(
            "AUTH_MODE is not set, and in production the server doesn't start open by accident; "
            "choose jwt, keys or proxy, or AUTH_MODE=none to serve everybody who can reach it"
        )
    _check_authentication(settings)
    _check_redis(settings, sources)
    for field in ("publish_allow", "admin_allow", "trusted_proxies"):
        _check_networks(field, getattr(settings, field), _from(sources, field))
    _check_symbols(settings, _from(sources, "simulator_symbols"))
    if settings.host == "*":
        raise SettingError(f"HOST is '*'{_from(sources, 'host')}; 0.0.0.0 listens everywhere")
    for origin in settings.allowed_origins:
        if origin != "*" and not ORIGIN.fullmatch(origin):
            raise SettingError(
                f"ALLOWED_ORIGINS has {origin!r}{_from(sources, 'allowed_origins')}; an origin is "
                "scheme://host or scheme://host:port, with no path and no wildcard"
            )


REDIS_PREFIX: Final = re.compile("[A-Za-z0-9_.:-]{1,64}")
REDIS_SCHEMES: Final = ("redis", "rediss", "unix", "memory")


def _check_redis(settings: Settings, sources: Mapping[str, str]) -> None:
    url = settings.redis_url
    if url is not None:
        shown = f"REDIS_URL{_from(sources, 'redis_url')}"
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), 0
        named = bool(parts.hostname) or parts.scheme in {"unix", "memory"}
        if parts.scheme not in REDIS_SCHEMES or not named or port == 0:
            raise SettingError(
                f"{shown} is no address of a Redis; write redis://[user:password@]host:6379, or "
                "rediss:// for TLS"
            )
    if not REDIS_PREFIX.fullmatch(settings.redis_prefix):
        raise SettingError(
            f"REDIS_PREFIX is {settings.redis_prefix!r}{_from(sources, 'redis_prefix')}; write up "
            "to 64 letters, digits and . _ : -"
        )
    ca_file = settings.redis_ca_file
    if ca_file is not None and not Path(ca_file).is_file():
        raise SettingError(
            f"REDIS_CA_FILE is {ca_file!r}{_from(sources, 'redis_ca_file')}, which is no file"
        )
    if settings.workers > 1 and not settings.shares_redis:
        raise SettingError(
            f"WORKERS is {settings.workers}{_from(sources, 'workers')}, and several processes need "
            "Redis to share what they know: set REDIS_URL=redis://host:6379, or WORKERS=1"
        )


def _check_authentication(settings: Settings) -> None:
    match settings.auth_mode:
        case "jwt" if not (
            settings.auth_jwt_secret
            or settings.auth_jwt_secrets_file
            or settings.auth_jwt_public_key_file
            or settings.auth_jwks_url
        ):
            raise SettingError(
                "AUTH_MODE is 'jwt', and nothing says what tokens are checked with; set "
                "AUTH_JWT_SECRET, AUTH_JWT_SECRETS_FILE, AUTH_JWT_PUBLIC_KEY_FILE or AUTH_JWKS_URL"
            )
        case "keys" if not settings.auth_api_keys_file:
            raise SettingError("AUTH_MODE is 'keys'; name their file with AUTH_API_KEYS_FILE")
        case "proxy" if not settings.trusted_proxies:
            raise SettingError(
                "AUTH_MODE is 'proxy'; say with TRUSTED_PROXIES whose word counts, or anybody "
                "could say who they are"
            )
    secret = settings.auth_jwt_secret
    if settings.production and secret is not None and len(secret.encode()) < MIN_SECRET_BYTES:
        raise SettingError(
            f"AUTH_JWT_SECRET is shorter than {MIN_SECRET_BYTES} bytes, so that whoever has one "
            "token can guess it; make one with: openssl rand -base64 48"
        )


def _check_networks(field: str, networks: Names, source: str) -> None:
    for network in networks:
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            raise SettingError(
                f"{field.upper()} has {network!r}{source}; a network is written like 10.0.0.0/8, "
                "192.0.2.7 or fd00::/8"
            ) from None


def _check_symbols(settings: Settings, source: str) -> None:
    names = settings.simulator_symbols
    shown = f"SIMULATOR_SYMBOLS is {','.join(names)!r}{source}"
    if not names:
        raise SettingError(f"{shown}; name at least one symbol, or a number of them")
    if len(names) == 1 and re.fullmatch(r"[-+]?[0-9]+(\.[0-9]*)?", names[0]):
        if not names[0].isdecimal() or not 1 <= int(names[0]) <= MAX_SIMULATED:
            raise SettingError(f"{shown}; a number must be a whole one from 1 to {MAX_SIMULATED}")
        return
    for name in names:
        try:
            parse_symbol(name, settings.default_market)
        except InvalidInput as error:
            raise SettingError(f"{shown}; {error.message}") from None


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach the host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _text(found: Mapping[str, tuple[str, str]], field: str) -> str | None:
    return found[field][0] if field in found else None


def _read_env_file(path: Path | None) -> Mapping[str, str | None]:
    try:
        return dotenv_values(path) if path is not None and path.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"The file {path} can't be read: {error}") from None


def _find(
    description: Description,
    flags: Mapping[str, str | None],
    environ: Mapping[str, str],
    env_file: Mapping[str, str | None],
) -> tuple[str, str] | None:
    """Give the text of a setting and its source, or None. An empty text counts as not set."""
    name = description.environment_name
    if text := flags.get(description.field):
        return text, f"the flag {description.flag}"
    if text := environ.get(name):
        return text, "the environment"
    if description.secret and (path := environ.get(f"{name}_FILE")):
        return _read_secret(name, path), FROM_FILE + path
    if text := env_file.get(name):
        return text, ".env"
    if description.secret and (path := env_file.get(f"{name}_FILE")):
        return _read_secret(name, path), FROM_FILE + path
    return None


def _read_secret(name: str, path: str) -> str:
    try:
        text = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{name}_FILE is {path!r}, which can't be read: {error}") from None
    if not text:
        # It may be in the middle of being written: no secret at all would be another setting.
        raise SettingError(f"{name}_FILE is {path!r}, which is empty")
    return text


def _convert(field: str, text: str, source: str) -> Any:
    annotation = get_type_hints(Settings, include_extras=True)[field]
    value: Any = text
    if get_args(annotation)[0] == Names:
        value = tuple(item.strip() for item in text.split(",") if item.strip())
    try:
        return msgspec.convert(value, annotation, strict=False)
    except msgspec.ValidationError as error:
        raise SettingError(_sentence(field, repr(text), source, error)) from None
    except UnicodeEncodeError:
        name = field.upper()
        raise SettingError(f"{name} (from {source}) is not valid UTF-8 text") from None


def _from(sources: Mapping[str, str], field: str) -> str:
    return f" (from {sources[field]})" if field in sources else ""


def _sentence(field: str, value: str, source: str, error: msgspec.ValidationError) -> str:
    description = next(d for d in describe() if d.field == field)
    shown = "a hidden value" if description.secret else value
    if description.choices:
        wanted = f"it must be one of {', '.join(description.choices)}"
    else:
        wanted = explain(error)[1]
    return f"{description.environment_name} is {shown} (from {source}); {wanted}"
