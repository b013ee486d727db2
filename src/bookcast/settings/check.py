"""Holds the rules that no single type can express. Each stands in the module of its area."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from bookcast.errors import SettingError
from bookcast.settings.rules import addresses, authentication, feed, redis, simulator
from bookcast.settings.schema import Settings
from bookcast.settings.sources import Sources, with_source

Rule = Callable[[Settings, Sources], Iterable[str]]
"""Yields what is wrong with the settings: a sentence each, beginning with the setting's name."""

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
"""In this order: what is said is the first that is wrong."""


def check(settings: Settings, sources: Sources) -> None:
    """Hold all rules.

    Raises:
        SettingError: naming the setting that breaks one, and where its value came from.
    """
    for rule in RULES:
        for fault in rule(settings, sources):
            raise SettingError(with_source(fault, sources))
