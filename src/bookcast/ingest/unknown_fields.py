"""Finds fields of published data that nothing reads, for instance misspelt ones."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from bookcast.errors import brief
from bookcast.ingest import schemas
from bookcast.model.topics import Channel


def unknown_fields(channel: Channel, text: bytes | msgspec.Raw, most: int) -> list[str]:
    """Return the paths of at most ``most`` fields that nothing reads, in bookcast's own form.

    In a list, the first item with an unknown field stands for all items that have it.
    """
    if channel == "orderbook":
        return []  # all fields of a book are passed on
    kind = schemas.PUBLISHED[channel]
    try:
        _strict_decoder(kind).decode(text)
    except msgspec.ValidationError:
        data = msgspec.json.decode(text)
        if not isinstance(data, dict) or schemas.is_theirs(channel, data.keys()):
            return []
        found = {re.sub(r"\[\d+\]", "[]", path): path for path in reversed([*_paths(kind, data)])}
        return list(islice(reversed(found.values()), most))
    return []


def _paths(kind: Any, value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of each field that a type doesn't have."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _paths(_item(kind), item, f"{path}[{index}]")
    elif isinstance(value, dict) and (struct := _struct(kind)) is not None:
        hints = _hints(struct)
        for name, item in value.items():
            inner = f"{path}.{brief(name)}" if path else brief(name)
            if name not in hints:
                yield inner
            else:
                yield from _paths(hints[name], item, inner)


@lru_cache(maxsize=64)
def _hints(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return get_type_hints(struct, include_extras=True)


def _plain(kind: Any) -> list[Any]:
    """Return the members of a union, without their annotations."""
    if get_origin(kind) is Annotated:
        return _plain(get_args(kind)[0])
    if get_origin(kind) in {Union, types.UnionType}:
        return [one for arg in get_args(kind) for one in _plain(arg)]
    return [kind]


def _struct(kind: Any) -> type[msgspec.Struct] | None:
    found = (one for one in _plain(kind) if isinstance(one, type))
    return next((one for one in found if issubclass(one, msgspec.Struct)), None)


def _item(kind: Any) -> Any:
    return next((get_args(one)[0] for one in _plain(kind) if get_origin(one) is list), None)


@lru_cache(maxsize=16)
def _strict_decoder(kind: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    """Return a decoder that refuses unknown fields: most data have none, and are read once."""
    return msgspec.json.Decoder(_strict(kind))


def _strict(kind: Any) -> Any:
    """Return a type that refuses unknown fields, also in the types of its fields."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return Annotated[(_strict(args[0]), *args[1:])]
    if origin in {Union, types.UnionType}:
        return Union[tuple(_strict(one) for one in args)]  # noqa: UP007 - of a tuple
    if origin is list:
        return list[_strict(args[0])]  # type: ignore[misc] # a type at runtime
    if not isinstance(kind, type) or not issubclass(kind, msgspec.Struct):
        return kind
    hints = _hints(kind)
    fields = [
        (field.name, _strict(hints[field.name]), msgspec.field(default=field.default))
        for field in msgspec.structs.fields(kind)
    ]
    return msgspec.defstruct(kind.__name__, fields, kw_only=True, forbid_unknown_fields=True)
