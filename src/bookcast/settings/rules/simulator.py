"""Rules for the simulator's settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from bookcast.errors import InvalidInput
from bookcast.model.topics import parse_symbol
from bookcast.settings.schema import Settings
from bookcast.settings.sources import Sources, came_from

MAX_SIMULATED: Final = 100_000
"""The highest number of symbols that SIMULATOR_SYMBOLS may be."""


def symbols(settings: Settings, sources: Sources) -> Iterator[str]:
    """Require valid symbols, or a number of symbols."""
    names = settings.simulator_symbols
    source = came_from("simulator_symbols", sources)
    shown = f"SIMULATOR_SYMBOLS is {','.join(names)!r}{source}"
    if not names:
        yield f"{shown}; name at least one symbol, or a number of them"
    elif len(names) == 1 and re.fullmatch(r"[-+]?[0-9]+(\.[0-9]*)?", names[0]):
        if not names[0].isdecimal() or not 1 <= int(names[0]) <= MAX_SIMULATED:
            yield f"{shown}; a number must be a whole one from 1 to {MAX_SIMULATED}"
    else:
        for name in names:
            try:
                parse_symbol(name, settings.default_market)
            except InvalidInput as error:
                yield f"{shown}; {error.message}"


RULES: Final = (symbols,)
