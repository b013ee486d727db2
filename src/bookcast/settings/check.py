"""Checks the rules that no single type can express. Each is in the module of its area."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from bookcast.errors import SettingError
from bookcast.settings.rules import addresses, authentication, feed, redis, simulator
from bookcast.settings.schema import Settings
from bookcast.settings.sources import Sources, with_source

Rule = Callable[[Settings, Sources], Iterable[str]]
"""Yields a sentence per fault of the settings. It begins with the setting's name."""

RULES: Final[tuple[Rule, ...]] = (
    *authentication.RULES,
    *redis.RULES,
    addresses.networks,
    *feed.RULES,
    *simulator.RULES,
    addresses.host,
    addresses.origins,
    addresses.hosts,
)
"""In this order. The first fault is reported."""


def check(settings: Settings, sources: Sources) -> None:
    """Check all rules.

    Raises:
        SettingError: when a rule is broken. It names the setting and the source of its value.
    """
    for rule in RULES:
        for fault in rule(settings, sources):
            raise SettingError(with_source(fault, sources))
