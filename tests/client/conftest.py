"""Worlds that end with their test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .world import World


@pytest.fixture
def make_world() -> Iterator[Callable[..., World]]:
    """Make worlds; see :class:`World`."""
    worlds: list[World] = []

    def make(**options: Any) -> World:
        worlds.append(World(**options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.begin(world.client.close())
        world.pass_time()
        world.loop.end()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """Make the usual one."""
    return make_world()
