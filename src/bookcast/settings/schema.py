"""Every setting, declared once. Flags, environment names and the document derive from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from bookcast.model.topics import MARKETS

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
        Literal["none", "simulator", "futu", "moomoo", "custom"],
        Meta(
            description="Where market data comes from, besides publishers over HTTP; futu and "
            "moomoo are the same, custom is the feed of FEED_FACTORY"
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
    futu_security_firm: Annotated[
        Literal["FUTUSECURITIES", "FUTUINC", "FUTUSG", "FUTUAU", "FUTUCA", "FUTUMY", "FUTUJP"]
        | None,
        Meta(
            description="The broker of the group whose data are asked for, by the vendor's name "
            "(FUTUINC is moomoo US); prices of cryptocurrencies differ by it. Not set, OpenD "
            "chooses"
        ),
    ] = None
    futu_linger_seconds: Annotated[
        float,
        Meta(
            ge=0,
            description="What nobody wants any more stays subscribed for so long, and what was "
            "read over HTTP is wanted for so long",
        ),
    ] = 10.0
    futu_min_subscription_seconds: Annotated[
        float,
        Meta(ge=0, description="OpenD lets go of a subscription no sooner than this"),
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
    auth_jwt_client_id: Annotated[
        str | None,
        Meta(
            description="A token's client_id must be this: for access tokens without aud, as of "
            "Amazon Cognito"
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

    def __post_init__(self) -> None:
        """Write the scheme of REDIS_URL in small letters: it means the same in any."""
        if self.redis_url is not None:
            scheme, sign, rest = self.redis_url.strip().partition("://")
            msgspec.structs.force_setattr(self, "redis_url", scheme.lower() + sign + rest)

    @property
    def address(self) -> str:
        """HOST as sockets take it: brackets around an IPv6 address belong to a URL."""
        bracketed = self.host.startswith("[") and self.host.endswith("]")
        return self.host[1:-1] if bracketed else self.host

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
