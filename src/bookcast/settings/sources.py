"""Where values came from, and how a sentence about a wrong one says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Sources = Mapping[str, str]
"""Where the value of each field came from, of those that were set."""

FROM_FILE: Final = "the file "
"""What a source begins with that is a file with a secret in it."""


def came_from(field: str, sources: Sources) -> str:
    """Return what follows a value in a sentence: where it came from, or nothing."""
    return f" (from {sources[field]})" if field in sources else ""


def with_source(sentence: str, sources: Sources) -> str:
    """Return the sentence with where the value came from, unless it has that.

    A sentence about a value that is refused begins with the name of its setting.
    """
    name, space, rest = sentence.partition(" ")
    source = came_from(name.lower(), sources) if name.isupper() else ""
    return sentence if not source or source.lstrip() in rest else f"{name}{source}{space}{rest}"
