"""Where a feed of somebody's own is, and what it is given."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from bookcast.settings.schema import Settings
from bookcast.settings.sources import Sources, came_from

FACTORY: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def factory(settings: Settings, sources: Sources) -> Iterator[str]:
    """Require a function of a module for FEED=custom, and none for another feed."""
    given = settings.feed_factory
    if settings.feed != "custom":
        if given is not None:
            yield (
                f"FEED_FACTORY is {given!r}{came_from('feed_factory', sources)}, which makes a "
                f"feed only with FEED=custom; FEED is {settings.feed}{came_from('feed', sources)}"
            )
    elif given is None:
        yield (
            f"FEED is custom{came_from('feed', sources)}; FEED_FACTORY=package.module:function "
            "says which function makes the feed"
        )
    elif not FACTORY.fullmatch(given):
        yield (
            f"FEED_FACTORY is {given!r}{came_from('feed_factory', sources)}; write "
            "package.module:function"
        )


def options(settings: Settings, sources: Sources) -> Iterator[str]:
    """Require options with a name each, and a feed that takes them."""
    source = came_from("feed_options", sources)
    shown = f"FEED_OPTIONS is {','.join(settings.feed_options)!r}{source}"
    if settings.feed_options and settings.feed != "custom":
        yield f"{shown}, which only FEED=custom takes; FEED is {settings.feed}"
    seen: set[str] = set()
    for option in settings.feed_options:
        name, sign, _ = option.partition("=")
        if not sign or not name.isidentifier():
            yield f"{shown}; {option!r} isn't name=value"
        elif name in seen:
            yield f"{shown}; {name} is there twice"
        seen.add(name)


RULES: Final = (factory, options)
