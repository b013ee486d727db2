"""Makes a feed of somebody's own: the function that ``FEED_FACTORY`` names is called."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from bookcast.errors import SettingError, StartupError, explain
from bookcast.feeds.base import Feed, Publish

logger = logging.getLogger(__name__)

Factory = Callable[[Publish, Mapping[str, str]], Feed]
"""Makes a feed of the options that are set. It raises ValueError where one of them is wrong."""


def custom_feed(publish: Publish, name: str, options: Sequence[str]) -> Feed:
    """Make the feed.

    Args:
        publish: what the feed is given to publish with.
        name: the function that makes it, as ``package.module:function``.
        options: what the function is given, as ``name=value``.

    Raises:
        StartupError: when there is no such function, or it fails.
    """
    make = _find(name)
    try:
        feed = make(publish, dict(_split(option) for option in options))
    except msgspec.ValidationError as error:
        raise SettingError(f"FEED_OPTIONS is {_shown(options)}; {explain(error)[1]}") from None
    except ValueError as error:
        raise SettingError(f"FEED_OPTIONS is {_shown(options)}; {error}") from None
    except StartupError:
        raise
    except Exception as error:
        logger.debug("FEED_FACTORY failed", exc_info=True)
        raise StartupError(f"FEED_FACTORY is {name!r}, which fails: {_told(error)}") from error
    if not isinstance(feed, Feed):
        raise SettingError(
            f"FEED_FACTORY is {name!r}, which returns {type(feed).__name__}; it must return a "
            "bookcast.feeds.base.Feed"
        )
    return feed


def _find(name: str) -> Factory:
    """Return the function of a name.

    Raises:
        SettingError: when there is none.
    """
    place, _, attribute = name.partition(":")
    # The command's own folder is searched, not the one it was called in.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    wrong = f"FEED_FACTORY is {name!r}"
    try:
        module = importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{place}.".startswith(f"{error.name}."):
            raise SettingError(f"{wrong}, and {place} can't be imported: {error}") from error
        raise SettingError(
            f"{wrong}; there is no module {error.name} on the Python path or in {here}"
        ) from None
    except Exception as error:
        logger.debug("FEED_FACTORY can't be imported", exc_info=True)
        raise SettingError(f"{wrong}, and {place} can't be imported: {_told(error)}") from error
    try:
        found: Any = attrgetter(attribute)(module)
    except AttributeError:
        raise SettingError(f"{wrong}; there is no {attribute} in {module.__file__}") from None
    if not callable(found):
        raise SettingError(f"{wrong}, which is no function: it is a {type(found).__name__}")
    factory: Factory = found
    return factory


def _split(option: str) -> tuple[str, str]:
    name, _, value = option.partition("=")
    return name, value


def _shown(options: Sequence[str]) -> str:
    return repr(",".join(options)) if options else "not set"


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
