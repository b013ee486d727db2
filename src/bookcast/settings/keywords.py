"""The keywords of ``bookcast.serve()``, for type checkers: the fields of ``Settings``."""

from __future__ import annotations

from typing import Literal, TypedDict

Names = list[str] | tuple[str, ...]
"""A list of names, for instance of symbols."""


class Keywords(TypedDict, total=False):
    """The keywords of :func:`bookcast.serve`. ``port`` is short for ``websocket_port``."""

    environment: Literal["development", "production"]
    host: str
    websocket_port: int
    redis_url: str | None
    redis_timeout: float
    redis_max_connections: int
    redis_ca_file: str | None
    redis_prefix: str
    engine_down_publish: Literal["reject", "local"]
    ready_without_redis: bool
    workers: int
    drain_seconds: float
    feed: Literal["none", "simulator", "futu", "moomoo", "custom"]
    feed_factory: str | None
    feed_options: Names
    simulator_symbols: Names
    simulator_rate: float
    simulator_depth: int
    simulator_seed: int
    futu_host: str
    futu_port: int
    futu_endpoints: Names
    futu_rsa_key_file: str | None
    futu_pinned: Names
    futu_session: Literal["all", "extended", "regular"]
    futu_order_details: bool
    futu_security_firm: (
        Literal["FUTUSECURITIES", "FUTUINC", "FUTUSG", "FUTUAU", "FUTUCA", "FUTUMY", "FUTUJP"]
        | None
    )
    futu_linger_seconds: float
    futu_min_subscription_seconds: float
    default_market: str
    auth_mode: Literal["none", "jwt", "keys", "proxy"] | None
    auth_jwt_secret: str | None
    auth_jwt_secrets_file: str | None
    auth_jwt_public_key_file: str | None
    auth_jwks_url: str | None
    auth_jwt_audience: str | None
    auth_jwt_client_id: str | None
    auth_jwt_issuer: str | None
    auth_clock_skew: float
    auth_api_keys_file: str | None
    auth_rights_file: str | None
    auth_cookie: str | None
    auth_proxy_header: str
    auth_query_token_seconds: float
    auth_timeout: float
    publish_allow: Names
    admin_allow: Names
    trusted_proxies: Names
    allowed_hosts: Names
    allowed_origins: Names
    max_message_bytes: int
    max_body_bytes: int
    max_header_bytes: int
    header_timeout: float
    max_connections: int
    max_connections_per_address: int
    max_connections_per_principal: int
    message_rate: float
    publish_rate: float
    max_published_topics: int
    session_ttl: float
    session_queue: Literal["newest", "all"]
    session_queue_size: int
    ping_interval: float
    ping_timeout: float
    max_subscriptions: int
    max_outbox_bytes: int
    history_size: int
    slow_timeout: float
    heartbeat_ms: int
    deflate: Literal["off", "auto"]
    deflate_min_bytes: int
    refuse_crossed_books: bool
    stale_after_orderbook: float
    stale_after_quote: float
    stale_after_trades: float
    stale_after_candles: float
    stale_after_brokers: float
    stale_after_timeframe: float
    batch_ms: float
    log_level: Literal["debug", "info", "warning", "error"]
    port: int
