"""Accepts input that is clear but not exact: counts written ``1.0``, words in another letter case.

Strict readers refuse both. A refused text is corrected here and read again by the strict reader,
which alone decides what is valid. Exact input costs nothing extra.
"""

from __future__ import annotations

import string
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache, partial
from itertools import permutations
from typing import Any, Final

import msgspec
from msgspec import inspect

Mender = Callable[[Any], Any]
"""Returns a corrected value, or the same one. A ``Raw`` stays JSON text with all its digits."""

_encoder: Final = msgspec.json.Encoder()
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array: Final = msgspec.json.Decoder(list[msgspec.Raw])
_SPACE: Final = b" \t\r\n"
MAX_10_EXP: Final = sys.float_info.max_10_exp


class Words:
    """Words that are recognised in any letter case.

    A letter's case counts only if two words differ in nothing else: 1m is a minute and 1M a month,
    so 3M isn't 3m; but 1H is 1h.
    """

    def __init__(self, words: Iterable[str]) -> None:
        words = list(words)
        telling = {
            letter
            for one, other in permutations(words, 2)
            if one.lower() == other.lower()
            for letter, counterpart in zip(one, other, strict=True)
            if letter != counterpart
        }
        self._fold = {
            ord(letter): letter.lower()
            for letter in string.ascii_uppercase
            if letter not in telling
        }
        self._exact = frozenset(words)
        self._words = {word.translate(self._fold): word for word in words}

    def meant(self, text: str) -> str:
        """Return the word that is meant, or the text itself if there is none."""
        return text if text in self._exact else self._words.get(text.translate(self._fold), text)


def mended(kind: Any, source: Any) -> Any:
    """Return the input with exact counts and words, wherever the type has them.

    Args:
        kind: the type that it will be read as.
        source: JSON text as bytes, or what a JSON reader returns. Unreadable parts stay unchanged.
    """
    mend = _mender_of(kind)
    if mend is None:
        return source
    try:
        if isinstance(source, bytes):
            return bytes(mend(msgspec.Raw(source)))
        return mend(source)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return source


@cache
def _mender_of(kind: Any) -> Mender | None:
    return _mender(inspect.type_info(kind))


def _mender(info: inspect.Type) -> Mender | None:  # noqa: PLR0911 - one for each kind of type
    """Return a function that corrects values of a type; None if there is nothing to correct."""
    match info:
        case inspect.IntType():
            return partial(_mend_atom, _count)
        case inspect.LiteralType(values=words) if isinstance(words[0], str):
            return partial(_mend_atom, partial(_word, Words(map(str, words))))
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            mend = _mender(item)
            return mend and partial(_mend_items, mend)
        case inspect.NamedTupleType(fields=fields):
            return partial(_mend_places, [_mender(field.type) for field in fields])
        case inspect.StructType():
            return partial(_mend_fields, _menders_of(info))
        case inspect.UnionType(types=types):
            return _mender_of_union(types)
    return None


def _menders_of(info: inspect.StructType) -> dict[str, Mender]:
    """Return the functions that correct the fields of a Struct."""
    menders = {field.encode_name: _mender(field.type) for field in info.fields}
    return {name: mend for name, mend in menders.items() if mend is not None}


def _mender_of_union(types: Sequence[inspect.Type]) -> Mender | None:
    """Return a function that corrects values of a union; their JSON shows which type they have."""
    tagged = {
        str(info.tag): _menders_of(info)
        for info in types
        if isinstance(info, inspect.StructType) and info.tag_field is not None
    }
    if tagged:
        [tag_field] = {info.tag_field for info in types if isinstance(info, inspect.StructType)}
        return partial(_mend_tagged, tag_field, tagged)
    # If a number may have a fraction, it isn't a count.
    has_fractions = any(isinstance(info, inspect.FloatType) for info in types)
    menders = [
        mend
        for info in types
        if not (has_fractions and isinstance(info, inspect.IntType))
        and (mend := _mender(info)) is not None
    ]
    return partial(_mend_as_any, menders) if menders else None


def _mend_as_any(menders: Sequence[Mender], value: Any) -> Any:
    for mend in menders:
        value = mend(value)
    return value


def _mend_tagged(
    tag_field: str | None, tagged: Mapping[str, Mapping[str, Mender]], value: Any
) -> Any:
    opened = _opened(value)
    if not isinstance(opened, dict) or tag_field not in opened:
        return value
    tag = _opened(opened[tag_field])
    if not isinstance(tag, str):
        return value
    word = Words(tagged).meant(tag)
    return _closed(value, _with_fields(tagged.get(word, {}), opened) | {tag_field: word})


def _mend_fields(menders: Mapping[str, Mender], value: Any) -> Any:
    opened = _opened(value)
    if not isinstance(opened, dict):
        return value
    return _closed(value, _with_fields(menders, opened))


def _with_fields(menders: Mapping[str, Mender], fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {name: mend(fields[name]) for name, mend in menders.items() if name in fields}


def _mend_items(mend: Mender, value: Any) -> Any:
    opened = _opened(value)
    return _closed(value, [mend(item) for item in opened]) if _is_list(opened) else value


def _mend_places(menders: Sequence[Mender | None], value: Any) -> Any:
    opened = _opened(value)
    if not _is_list(opened):
        return value
    items = list(opened)
    for index, mend in enumerate(menders[: len(items)]):
        if mend is not None:
            items[index] = mend(items[index])
    return _closed(value, items)


def _mend_atom(mend: Mender, value: Any) -> Any:
    opened = _opened(value)
    meant = mend(opened)
    return value if meant is opened else _closed(value, meant)


def _count(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    # A number beyond the range of floats would become thousands of digits.
    if isinstance(value, Decimal) and value.adjusted() <= MAX_10_EXP:
        return int(value) if value == value.to_integral_value() else value
    return value


def _word(words: Words, value: Any) -> Any:
    return words.meant(value) if isinstance(value, str) else value


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _opened(value: Any) -> Any:
    """Return the value of JSON text; the items of an object or array stay text."""
    if not isinstance(value, msgspec.Raw):
        return value
    text = bytes(value).lstrip(_SPACE)
    if text.startswith(b"{"):
        return _object.decode(text)
    return _array.decode(text) if text.startswith(b"[") else msgspec.json.decode(text)


def _closed(before: Any, value: Any) -> Any:
    """Return a value as JSON text if it was text before."""
    if not isinstance(before, msgspec.Raw):
        return value
    # An integer may have more digits than the encoder takes; the strict reader refuses it later.
    return msgspec.Raw(str(value).encode() if type(value) is int else _encoder.encode(value))
