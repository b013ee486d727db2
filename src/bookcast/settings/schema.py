"""All settings, declared once. Flags, environment names and docs/settings.md derive from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from bookcast.model.topics import MARKETS

Names = tuple[str, ...]
"""A list; comma-separated where it is text."""


def _secret(description: str) -> Meta:
    return Meta(description=description, extra={"secret": True})


_Stale = Annotated[
    float,
    Meta(ge=0, description="Seconds without an update until a symbol's status is stale; 0: never"),
]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a server. The environment name of a field is its name in capitals."""

    environment: Annotated[
        Literal["development", "production"],
        Meta(
            description="Chooses the defaults: development is convenient on your machine, "
            "production is strict"
        ),
    ] = "development"
    host: Annotated[str, Meta(description="The address to listen on")] = "127.0.0.1"
    websocket_port: Annotated[
        int,
        Meta(ge=0, le=65535, description="The port for HTTP and WebSocket; 0 picks a free one"),
    ] = 8002
    redis_url: Annotated[
        str | None,
        _secret(
            "The address of Redis, for several nodes: redis:// or rediss://, or one "
            "node of a Cluster; memory:// keeps everything in this process"
        ),
    ] = None
    redis_timeout: Annotated[
        float,
        Meta(gt=0, le=60, description="Seconds in which Redis must answer; else it counts as away"),
    ] = 1.0
    redis_max_connections: Annotated[
        int,
        Meta(
            ge=2,
            le=1000,
            description="Maximum connections to Redis for commands; one more is used for pub/sub",
        ),
    ] = 16
    redis_ca_file: Annotated[
        str | None,
        Meta(description="The certificate authority of a rediss:// Redis, in PEM"),
    ] = None
    redis_prefix: Annotated[
        str,
        Meta(
            description="The beginning of all names of keys and channels in Redis. Each "
            "deployment that shares a Redis needs its own",
        ),
    ] = "bookcast"
    engine_down_publish: Annotated[
        Literal["reject", "local"],
        Meta(
            description="What happens to publications from outside while Redis is away: reject "
            "answers 503, local delivers them to this node's own clients only"
        ),
    ] = "reject"
    ready_without_redis: Annotated[
        bool,
        Meta(
            description="Whether /readyz stays ready while Redis is away. A node that has never "
            "reached Redis isn't ready"
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
            description="At shutdown, clients are closed one after the other over so many "
            "seconds, so that they don't all connect to other nodes at once",
        ),
    ] = 0.0
    feed: Annotated[
        Literal["none", "simulator", "futu", "moomoo", "custom"],
        Meta(
            description="The source of market data, besides publishers; futu and moomoo are the "
            "same, custom is the feed of FEED_FACTORY"
        ),
    ] = "none"
    feed_factory: Annotated[
        str | None,
        Meta(
            description="With FEED=custom: the Python function that makes the feed, as "
            "package.module:function; the working directory is searched too"
        ),
    ] = None
    feed_options: Annotated[
        Names,
        Meta(description="With FEED=custom: what that function is given, as name=value"),
    ] = ()
    simulator_symbols: Annotated[
        Names,
        Meta(description="The simulator's symbols: a list, or a number N for US.S0001…"),
    ] = ("US.AAPL", "US.MSFT", "US.NVDA", "US.TSLA", "HK.00700", "HK.09988")
    simulator_rate: Annotated[
        float, Meta(ge=0.001, le=100_000, description="Book updates per second and symbol")
    ] = 10.0
    simulator_depth: Annotated[
        int, Meta(ge=1, le=200, description="Levels on each side of a simulated book")
    ] = 20
    simulator_seed: Annotated[
        int,
        Meta(ge=0, description="The seed of the simulator: the same seed produces the same market"),
    ] = 1
    futu_host: Annotated[str, Meta(description="The host of OpenD")] = "127.0.0.1"
    futu_port: Annotated[int, Meta(ge=1, le=65535, description="OpenD's API port")] = 11111
    futu_endpoints: Annotated[
        Names,
        Meta(
            description="Several OpenDs as host:port, the primary first, instead of FUTU_HOST and"
            " FUTU_PORT. A standby is used when those before it can't be reached"
        ),
    ] = ()
    futu_rsa_key_file: Annotated[
        str | None,
        Meta(
            description="The private RSA key that OpenD uses too; it turns on encryption of the "
            "connection"
        ),
    ] = None
    futu_pinned: Annotated[
        Names,
        Meta(
            description="Topics that are always subscribed, before all others: symbols (their "
            "books), or channel:symbol, candles:symbol:period"
        ),
    ] = ()
    futu_session: Annotated[
        Literal["all", "extended", "regular"],
        Meta(
            description="Trading hours that count in trades, candles and time frames of US "
            "stocks: all includes overnight, extended doesn't"
        ),
    ] = "all"
    futu_order_details: Annotated[
        bool,
        Meta(description="Books with single orders, where the account has the right to them"),
    ] = False
    futu_security_firm: Annotated[
        Literal["FUTUSECURITIES", "FUTUINC", "FUTUSG", "FUTUAU", "FUTUCA", "FUTUMY", "FUTUJP"]
        | None,
        Meta(
            description="The broker whose data are requested, by the vendor's name (FUTUINC is "
            "moomoo US). Prices of cryptocurrencies differ by broker. Not set: OpenD "
            "chooses"
        ),
    ] = None
    futu_linger_seconds: Annotated[
        float,
        Meta(
            ge=0,
            description="Seconds for which a topic stays subscribed after its last subscriber has"
            " left, and for which a read over HTTP keeps a topic subscribed",
        ),
    ] = 10.0
    futu_min_subscription_seconds: Annotated[
        float,
        Meta(ge=0, description="Minimum seconds before OpenD allows a subscription to be undone"),
    ] = 60.0
    default_market: Annotated[
        str,
        Meta(
            description="The market of a symbol written without one (AAPL)",
            extra={"choices": tuple(sorted(MARKETS))},
        ),
    ] = "US"
    auth_mode: Annotated[
        Literal["none", "jwt", "keys", "proxy"] | None,
        Meta(
            description="none serves everybody (production requires it to be set explicitly), jwt"
            " requires a token, keys an API key, proxy trusts AUTH_PROXY_HEADER"
        ),
    ] = None
    auth_jwt_secret: Annotated[
        str | None,
        _secret("The secret with which tokens are signed (HS256), at least 32 bytes"),
    ] = None
    auth_jwt_secrets_file: Annotated[
        str | None,
        Meta(
            description="Several secrets (HS256) by the kid that tokens name: TOML, [secrets], "
            'then kid = "…". A token without a kid is checked with all of them'
        ),
    ] = None
    auth_jwt_public_key_file: Annotated[
        str | None,
        Meta(description="The public key of the token issuer, in PEM (RS256 or ES256)"),
    ] = None
    auth_jwks_url: Annotated[
        str | None,
        Meta(
            description="The address or file with the token issuer's public keys (JWKS, RS256 or "
            "ES256). It is read every 5 minutes, and at once for an unknown key"
        ),
    ] = None
    auth_jwt_audience: Annotated[
        str | None, Meta(description="A token's aud must be, or contain, this")
    ] = None
    auth_jwt_client_id: Annotated[
        str | None,
        Meta(
            description="A token's client_id must be this: for access tokens without aud, like "
            "those of Amazon Cognito"
        ),
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
        Meta(description="Rights of principals whose tokens don't contain them"),
    ] = None
    auth_cookie: Annotated[
        str | None,
        Meta(description="The cookie that may hold the token, for pages of ALLOWED_ORIGINS"),
    ] = None
    auth_proxy_header: Annotated[
        str,
        Meta(
            description="With AUTH_MODE=proxy: the header in which a trusted proxy names the user"
        ),
    ] = "X-Forwarded-User"
    auth_query_token_seconds: Annotated[
        float,
        Meta(
            ge=0,
            description="A token in the address (?token=) must expire within so many seconds; 0 "
            "allows none",
        ),
    ] = 300.0
    auth_timeout: Annotated[
        float,
        Meta(
            gt=0,
            description="Seconds in which a client that connected without a token must send one",
        ),
    ] = 10.0
    publish_allow: Annotated[
        Names,
        Meta(
            description="Networks (10.0.0.0/8) from which programs may publish over HTTP without "
            "a key"
        ),
    ] = ()
    admin_allow: Annotated[
        Names,
        Meta(
            description="Networks that may read /stats and /metrics without a token, where tokens"
            " are required"
        ),
    ] = ("127.0.0.0/8", "::1")
    trusted_proxies: Annotated[
        Names,
        Meta(
            description="Networks of trusted proxies and balancers (X-Forwarded-For, the PROXY "
            "protocol). All clients behind an untrusted proxy look like one address"
        ),
    ] = ()
    allowed_hosts: Annotated[
        Names,
        Meta(
            description="Host names that this server answers to. Not set: all; in development on "
            "a loopback address, only those of this machine"
        ),
    ] = ()
    allowed_origins: Annotated[
        Names,
        Meta(
            description="Web origins that may connect and call (https://app.example.com), besides"
            " the server's own; * allows all. Development also allows any localhost "
            "port"
        ),
    ] = ()
    max_message_bytes: Annotated[
        int, Meta(ge=128, description="Maximum size of a WebSocket message of a client")
    ] = 64 * 1024
    max_body_bytes: Annotated[
        int, Meta(ge=128, description="Maximum size of an HTTP body of a publisher")
    ] = 1024 * 1024
    max_header_bytes: Annotated[
        int,
        Meta(ge=1024, description="Maximum size of a request's head: its first line and headers"),
    ] = 16 * 1024
    header_timeout: Annotated[
        float,
        Meta(
            gt=0,
            description="Seconds from the connection in which a request's head must arrive; its "
            "body has three times as long",
        ),
    ] = 10.0
    max_connections: Annotated[
        int,
        Meta(
            ge=0,
            description="Maximum WebSockets of all clients; 0: as the limit of open files allows",
        ),
    ] = 0
    max_connections_per_address: Annotated[
        int, Meta(ge=0, description="Maximum connections of one address; 0: no limit")
    ] = 0
    max_connections_per_principal: Annotated[
        int, Meta(ge=0, description="Maximum WebSockets of one principal; 0: no limit")
    ] = 0
    message_rate: Annotated[
        float,
        Meta(
            ge=0,
            description="Maximum messages a second of one connection, with bursts of ten seconds'"
            " worth; 0: no limit",
        ),
    ] = 50.0
    publish_rate: Annotated[
        float,
        Meta(
            ge=0,
            description="Maximum publications a second of one publisher, with bursts of ten "
            "seconds' worth; 0: no limit",
        ),
    ] = 0.0
    max_published_topics: Annotated[
        int,
        Meta(
            ge=0,
            description="Maximum published topics, of all nodes together. A publication of a "
            "further topic is refused; 0: no limit",
        ),
    ] = 100_000
    session_ttl: Annotated[
        float,
        Meta(ge=0, description="Seconds for which the session of a lost client is kept"),
    ] = 60.0
    session_queue: Annotated[
        Literal["newest", "all"],
        Meta(
            description="What is kept for a client of the base protocol that can't take data: the"
            " newest book of each symbol, or every book"
        ),
    ] = "newest"
    session_queue_size: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="With SESSION_QUEUE=all: how many books of each symbol are kept",
        ),
    ] = 1000
    ping_interval: Annotated[
        float, Meta(gt=0, description="A client is pinged after so many seconds of silence")
    ] = 20.0
    ping_timeout: Annotated[
        float,
        Meta(
            gt=0,
            description="A client that doesn't answer a ping for so many seconds is closed with "
            "4009",
        ),
    ] = 20.0
    max_subscriptions: Annotated[
        int, Meta(ge=1, description="Maximum subscriptions of one connection")
    ] = 256
    max_outbox_bytes: Annotated[
        int,
        Meta(
            ge=64 * 1024,
            description="Maximum bytes sent at once to a client that can take data again. Updates"
            " beyond that are reported as a gap",
        ),
    ] = 1024 * 1024
    history_size: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="How many trades or final candles are kept of each symbol",
        ),
    ] = 1000
    slow_timeout: Annotated[
        float,
        Meta(
            gt=0,
            description="A client that takes no data for so many seconds is closed with 4008",
        ),
    ] = 30.0
    heartbeat_ms: Annotated[
        int,
        Meta(
            ge=1000,
            description="bookcast.v1 clients get a heartbeat after so many ms of silence",
        ),
    ] = 10_000
    deflate: Annotated[
        Literal["off", "auto"],
        Meta(description="auto compresses for clients that offer permessage-deflate"),
    ] = "auto"
    deflate_min_bytes: Annotated[
        int, Meta(ge=0, description="Messages shorter than this are sent uncompressed")
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
            description="Under load, updates wait at most so many milliseconds to be sent "
            "together; 0 sends each at once",
        ),
    ] = 5.0
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(
            description="The lowest level that is logged; debug logs why each message was or "
            "wasn't sent"
        ),
    ] = "info"

    def __post_init__(self) -> None:
        """Write the scheme of REDIS_URL in small letters, since its letter case doesn't matter."""
        if self.redis_url is not None:
            scheme, sign, rest = self.redis_url.strip().partition("://")
            msgspec.structs.force_setattr(self, "redis_url", scheme.lower() + sign + rest)

    @property
    def address(self) -> str:
        """HOST as sockets take it: without the brackets that URLs have around an IPv6 address."""
        bracketed = self.host.startswith("[") and self.host.endswith("]")
        return self.host[1:-1] if bracketed else self.host

    @property
    def production(self) -> bool:
        """Whether ENVIRONMENT is production."""
        return self.environment == "production"

    @property
    def shares_redis(self) -> bool:
        """Whether nodes share a Redis."""
        return self.redis_url is not None and not self.redis_url.startswith("memory:")


PRODUCTION_DEFAULTS: Final[Mapping[str, Any]] = {
    "redis_url": "redis://redis:6379",
    "admin_allow": (),
    "max_connections_per_address": 100,
    "publish_rate": 10_000.0,
    "drain_seconds": 30.0,
}
"""The defaults of production that differ from those of :class:`Settings`."""
