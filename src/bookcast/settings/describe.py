"""The settings as a person sees them: names, flags, words for values."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_type_hints

import msgspec

from bookcast.settings.schema import Settings


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
