"""The sources of values, and how an error message names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Sources = Mapping[str, str]
"""The source of each field's value, for the fields that were set."""

FROM_FILE: Final = "the file "
"""The beginning of a source that is a file with a secret."""


def came_from(field: str, sources: Sources) -> str:
    """Return the source of a field in brackets, to follow its value in a sentence; "" if none."""
    return f" (from {sources[field]})" if field in sources else ""


def with_source(sentence: str, sources: Sources) -> str:
    """Return a sentence with the source of the value added, unless it has the source already.

    A sentence about a refused value begins with the name of its setting.
    """
    name, space, rest = sentence.partition(" ")
    source = came_from(name.lower(), sources) if name.isupper() else ""
    return sentence if not source or source.lstrip() in rest else f"{name}{source}{space}{rest}"
