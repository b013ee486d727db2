"""Makes the Futu feed that the settings describe."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bookcast.errors import InvalidInput, SettingError
from bookcast.feeds.base import Publish
from bookcast.feeds.futu.calls import FIRMS
from bookcast.feeds.futu.client import FutuFeed
from bookcast.feeds.futu.endpoints import Endpoint
from bookcast.feeds.futu.schema import require_futu
from bookcast.feeds.futu.topics import SESSIONS, SUBTYPES, not_asked_for
from bookcast.feeds.futu.wire import read_key
from bookcast.model.topics import CHANNELS, Topic, parse_symbol
from bookcast.settings import Settings

ENDPOINT: Final = re.compile(r"(?:\[([0-9a-fA-F:.%]+)\]|([^\[\]:]+)):([0-9]{1,5})")
MAX_PORT: Final = 65535


def futu_feed(publish: Publish, settings: Settings) -> FutuFeed:
    """Make the feed.

    Raises:
        StartupError: when the vendor's package or the key is missing, or a setting is wrong.
    """
    require_futu()
    return FutuFeed(
        publish,
        endpoints=endpoints_of(settings),
        key=key_of(settings),
        min_subscription_seconds=settings.futu_min_subscription_seconds,
        linger_seconds=settings.futu_linger_seconds,
        pinned=pinned_of(settings),
        session=SESSIONS[settings.futu_session],
        detailed=settings.futu_order_details,
        firm=FIRMS.get(settings.futu_security_firm or "", 0),
    )


def key_of(settings: Settings) -> Any:
    """Read the key of FUTU_RSA_KEY_FILE; None when it isn't set.

    Raises:
        StartupError: when there is none in the file.
    """
    file = settings.futu_rsa_key_file
    return read_key(Path(file).expanduser()) if file else None


def endpoints_of(settings: Settings) -> Sequence[Endpoint]:
    """Return the OpenDs, the primary first.

    Raises:
        SettingError: when one isn't host:port.
    """
    if not settings.futu_endpoints:
        host = settings.futu_host
        if ":" in host and not _is_address(host):
            raise SettingError(
                f"FUTU_HOST is {host!r}; it is a name or an address, and FUTU_PORT has the port"
            )
        return [Endpoint(host, settings.futu_port)]
    return [_endpoint(text) for text in settings.futu_endpoints]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _endpoint(text: str) -> Endpoint:
    parts = ENDPOINT.fullmatch(text)
    host, port = (parts[1] or parts[2], int(parts[3])) if parts else ("", 0)
    if not 0 < port <= MAX_PORT:
        raise SettingError(
            f"FUTU_ENDPOINTS has {text!r}; an endpoint is host:port, for instance "
            "127.0.0.1:11111 or [::1]:11111"
        )
    return Endpoint(host, port, "FUTU_ENDPOINTS")


def pinned_of(settings: Settings) -> Sequence[Topic]:
    """Return the topics of FUTU_PINNED.

    Raises:
        SettingError: when one of them doesn't exist.
    """
    return [_topic(text, settings.default_market) for text in settings.futu_pinned]


def _topic(text: str, default_market: str) -> Topic:
    channel, colon, rest = text.partition(":")
    requested_symbol, _, variant = rest.partition(":") if colon else (text, "", "")
    key: Any = (channel if colon else "orderbook", variant)
    if key not in SUBTYPES or text in CHANNELS:
        raise SettingError(
            f"FUTU_PINNED has {text!r}; write a symbol, channel:symbol, orderbook:symbol:odd or "
            "candles:symbol:period"
        )
    try:
        topic = Topic(key[0], parse_symbol(requested_symbol, default_market), variant)
    except InvalidInput as error:
        raise SettingError(f"FUTU_PINNED has {text!r}; {error.message}") from None
    if (why := not_asked_for(topic)) is not None:
        raise SettingError(f"FUTU_PINNED has {text!r}; {why}")
    return topic
