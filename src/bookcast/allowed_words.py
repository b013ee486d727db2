"""Finds the allowed words of a field in the type that decodes it, for error messages."""

from __future__ import annotations

import enum
import re
import types
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[[^\]]*\]")


def words_of(kind: Any, path: str) -> tuple[str, ...]:
    """Return the words allowed at a path of a type, in declared order; empty if any is allowed.

    Words are declared by a ``Literal``, an ``Enum``, or an ``enum`` in the JSON schema of a field.

    Args:
        kind: the type that was decoded, for instance a Struct or a union of Structs.
        path: a path as msgspec writes it, for instance ``trades[3].side``.
    """
    return _words_of(kind, re.sub(r"\[[^\]]*\]", "[]", path))


@lru_cache(maxsize=1024)
def _words_of(kind: Any, path: str) -> tuple[str, ...]:
    kinds = [kind]
    for step in _STEP.finditer(path):
        kinds = [inner for one in kinds for inner in _inside(one, step[1])]
    return tuple(dict.fromkeys(word for one in kinds for word in _words(one)))


def _alternatives(kind: Any) -> Iterator[Any]:
    """Yield the members of a union; a type that is none yields itself."""
    if get_origin(kind) in {Union, types.UnionType}:
        for one in get_args(kind):
            yield from _alternatives(one)
    else:
        yield kind


def _inside(kind: Any, field: str | None) -> Iterator[Any]:
    """Yield the types of a field of a type; for None, those of its items."""
    for one in _alternatives(kind):
        if get_origin(one) is Annotated:
            yield from _inside(get_args(one)[0], field)
        elif field is None:
            # The last argument: the item of a list or tuple, the value of a mapping.
            yield from [arg for arg in get_args(one)[-2:] if arg is not ...][-1:]
        elif isinstance(one, type) and issubclass(one, msgspec.Struct):
            names = dict(zip(one.__struct_encode_fields__, one.__struct_fields__, strict=True))
            if field in names:
                yield get_type_hints(one, include_extras=True)[names[field]]


def _words(kind: Any) -> Iterator[str]:
    for one in _alternatives(kind):
        if get_origin(one) is Literal:
            yield from (word for word in get_args(one) if isinstance(word, str))
        elif isinstance(one, type) and issubclass(one, enum.Enum):
            yield from (str(member.value) for member in one)
        elif get_origin(one) is Annotated:
            inner, *notes = get_args(one)
            yield from _words(inner)
            for note in notes:
                schema = note.extra_json_schema if isinstance(note, msgspec.Meta) else None
                yield from (word for word in (schema or {}).get("enum", ()) if word is not None)
