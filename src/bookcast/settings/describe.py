"""Describes the settings for people: names, flags, allowed values, help."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Literal, get_args, get_type_hints

import msgspec

from bookcast.settings.schema import Names, Settings

GROUPS: Final[Mapping[str, str]] = {
    "environment": "General",
    "redis_url": "Many nodes",
    "feed": "Feed and simulator",
    "futu_host": "Futu and moomoo",
    "default_market": "Symbols",
    "auth_mode": "Authentication",
    "trusted_proxies": "Proxies, hosts and origins",
    "max_message_bytes": "Limits",
    "session_ttl": "Sessions",
    "max_subscriptions": "Delivery",
    "log_level": "Log",
}
"""The headings of the help's groups, by the first setting of each."""

COMMON: Final = frozenset(
    {
        "environment",
        "host",
        "websocket_port",
        "redis_url",
        "workers",
        "feed",
        "simulator_symbols",
        "simulator_rate",
        "futu_host",
        "futu_port",
        "auth_mode",
        "auth_jwt_secret",
        "auth_jwks_url",
        "auth_jwt_audience",
        "trusted_proxies",
        "allowed_origins",
        "ready_without_redis",
        "log_level",
    }
)
"""The settings in the short help."""

ALIASES: Final[Mapping[str, str]] = {"port": "websocket_port"}
"""Short names for flags and keywords."""

_SECONDS: Final = {"seconds", "timeout", "interval", "ttl", "skew"}
_UNITS: Final = {"ms", "bytes", "port"}


class Description(msgspec.Struct, frozen=True):
    """The description of one setting."""

    field: str
    type: Any
    annotation: Any
    """The type with its bounds."""
    help: str
    default: Any
    secret: bool
    choices: tuple[str, ...]
    """The allowed values; empty where any value of the type is allowed."""
    group: str

    @property
    def environment_name(self) -> str:
        """The name in the environment and in ``.env``."""
        return self.field.upper()

    @property
    def flag(self) -> str:
        """The name on the command line."""
        return "--" + self.field.replace("_", "-")

    @property
    def placeholder(self) -> str:
        """The placeholder of a value in the help: the allowed words, or the kind of value."""
        if self.choices:
            return "|".join(self.choices)
        if self.type is bool:
            return "true|false"
        if self.type == Names:
            return "A,B,..."
        last = self.field.split("_")[-1]
        if self.type not in {int, float} or last in _UNITS:
            return last.upper()
        return "SECONDS" if last in _SECONDS or self.field.startswith("stale_") else "N"

    def text(self, value: Any) -> str:
        """Return a value as it is written in the environment."""
        if isinstance(value, bool):
            return "true" if value else "false"
        return ",".join(value) if isinstance(value, tuple) else str(value)


@cache
def describe() -> tuple[Description, ...]:
    """Return all settings in the order of their declaration."""
    hints = get_type_hints(Settings, include_extras=True)
    described = []
    group = ""
    for field in msgspec.structs.fields(Settings):
        type_, meta = get_args(hints[field.name])
        extra = meta.extra or {}
        group = GROUPS.get(field.name, group)
        described.append(
            Description(
                field=field.name,
                type=type_,
                annotation=hints[field.name],
                help=meta.description,
                default=field.default,
                secret=bool(extra.get("secret")),
                choices=extra.get("choices") or _literals(type_),
                group=group,
            )
        )
    return tuple(described)


def _literals(type_: Any) -> tuple[str, ...]:
    return tuple(
        choice
        for member in (type_, *get_args(type_))
        for choice in (get_args(member) if getattr(member, "__origin__", None) is Literal else ())
    )


@cache
def environment_names() -> frozenset[str]:
    """Return every name that is read from the environment and from ``.env``."""
    names = {one.environment_name for one in describe()}
    return frozenset(names | {f"{one.environment_name}_FILE" for one in describe() if one.secret})
