"""Reads the commands of ``bookcast.v1``, and finds the fields that can't be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple, Union

import msgspec
from msgspec import UNSET, Meta

from bookcast.errors import InvalidInput, brief, quoted
from bookcast.ingest import json_input
from bookcast.ingest.lenient import Words, mended
from bookcast.protocol.v1 import messages as v1
from bookcast.protocol.v1.ignored import MAX_IGNORED


class ReadCommand(NamedTuple):
    """A command that was read.

    Attributes:
        command: the command.
        ignored: names of unknown fields.
        faults: errors of positions that can't be read.
    """

    command: v1.Command
    ignored: tuple[str, ...] = ()
    faults: tuple[InvalidInput, ...] = ()


class CommandTarget(NamedTuple):
    """What an unreadable message is about, as far as its fields show.

    ``ignored``: the names of unknown fields.
    """

    id: v1.Id = UNSET
    channel: str | msgspec.UnsetType = UNSET
    symbols: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


_Known = type[msgspec.Struct]
_KINDS: Final[dict[str, _Known]] = {
    str(kind.__struct_config__.tag): kind for kind in v1.Command.__args__
}


_WORDS: Final = Words(_KINDS)


class _Head(msgspec.Struct):
    action: Annotated[str, Meta(extra_json_schema={"enum": list(_KINDS)})]


_CHANNELS: Final = {
    action: field.default
    for action, kind in _KINDS.items()
    for field in msgspec.structs.fields(kind)
    if field.name == "channel"
}
"""The default channel of each command that has one."""


def _strict(kind: _Known, *fields: Any) -> _Known:
    """Return a type of the command that refuses unknown fields."""
    name = kind.__name__
    return msgspec.defstruct(name, fields, bases=(kind,), frozen=True, forbid_unknown_fields=True)


# A command without unknown fields is decoded in one pass.
_Position: Final = _strict(v1.HeldPosition)
_Positions: Any = list[_Position]  # type: ignore[valid-type] # made here
_Since: Any = _strict(v1.Since) | None
_FIELDS: Final[dict[_Known, list[Any]]] = {
    v1.Resume: [("positions", _Positions, [])],
    v1.Subscribe: [("since", _Since, None)],
}
_strict_command: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(
    Union[tuple(_strict(kind, *_FIELDS.get(kind, [])) for kind in _KINDS.values())]  # noqa: UP007 - of a tuple
)
_head: Final = msgspec.json.Decoder(_Head)
_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items: Final = msgspec.json.Decoder(list[msgspec.Raw])
_position: Final = msgspec.json.Decoder(v1.HeldPosition)


def read_command(data: bytes | str) -> ReadCommand:
    """Return the command that a client sent.

    Raises:
        InvalidInput: the message can't be read; the error names the place.
    """
    try:
        return ReadCommand(_strict_command.decode(data))
    except msgspec.ValidationError:
        pass
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise json_input.bad_json(data, error, "invalid_message") from None
    try:
        return _read_leniently(mended(v1.Command, data.encode() if isinstance(data, str) else data))
    except msgspec.ValidationError as error:
        raise json_input.invalid("invalid_message", error, "The message", _Head) from None
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        # An error in a field is reported rather than an error in the JSON text.
        raise json_input.bad_json(data, error, "invalid_message") from None


def _read_leniently(data: bytes) -> ReadCommand:
    """Return a command without its unknown fields and its unreadable positions."""
    action = _head.decode(data).action
    kind = _KINDS.get(action)
    if kind is None:
        raise InvalidInput(
            "unknown_action",
            f"There is no action {quoted(action)}; there are {', '.join(_KINDS)}",
            path="action",
        )
    fields = _fields.decode(data)
    known = {name: fields[name] for name in ("action", *kind.__struct_fields__) if name in fields}
    ignored = _unknown(kind, fields)
    faults: list[InvalidInput] = []
    if kind is v1.Resume and "positions" in fields:
        known["positions"], others = _readable_positions(fields["positions"], faults)
        ignored += others
    try:
        command: Any = msgspec.json.decode(msgspec.json.encode(known), type=kind)
    except msgspec.ValidationError as error:
        raise json_input.invalid("invalid_message", error, "The message", kind) from None
    return ReadCommand(command, _named(ignored), tuple(faults))


def _unknown(kind: _Known, fields: Mapping[str, Any]) -> list[str]:
    """Return the names of unknown fields, including those in ``since``."""
    known = frozenset(("action", *kind.__struct_fields__))  # a set: there may be thousands of names
    unknown = [name for name in fields if name not in known]
    if "since" in known:
        since = fields.get("since")
        if isinstance(since, msgspec.Raw):
            since = msgspec.json.decode(since)
        if isinstance(since, dict):
            theirs = v1.Since.__struct_fields__
            unknown += [f"since.{name}" for name in since if name not in theirs]
    return unknown


def _named(names: Sequence[str]) -> tuple[str, ...]:
    """Return as many names, and as much of each, as an answer may contain."""
    return tuple(brief(name) for name in names[:MAX_IGNORED])


def _readable_positions(
    raw: msgspec.Raw, faults: list[InvalidInput]
) -> tuple[msgspec.Raw, list[str]]:
    """Return the readable positions, and the names of their unknown fields.

    The errors of the other positions are appended to ``faults``.
    """
    try:
        items = _items.decode(raw)
    except msgspec.ValidationError:
        return raw, []  # it isn't a list: the decoder of the whole command reports that
    readable, ignored = [], []
    for index, item in enumerate(items):
        place = f"positions[{index}]"
        try:
            _position.decode(item)
        except msgspec.ValidationError as error:
            faults.append(_fault(place, error, item))
            continue
        readable.append(item)
        names = _fields.decode(item)
        ignored += [f"{place}.{name}" for name in names if name not in _Position.__struct_fields__]
    return msgspec.Raw(msgspec.json.encode(readable)), ignored


def _fault(place: str, error: msgspec.ValidationError, item: msgspec.Raw) -> InvalidInput:
    fault = json_input.invalid("invalid_message", error, place, v1.HeldPosition)
    if fault.path:
        fault = InvalidInput(fault.code, f"{place}.{fault.message}", path=f"{place}.{fault.path}")
    given = msgspec.json.decode(item)
    if isinstance(given, dict):
        fault.about(given.get("channel"), given.get("symbol"))
    return fault


def aim_of(data: bytes | str) -> CommandTarget:
    """Return what a message is about that can't be read as a command."""
    said = _readable(data)
    action, many = said.get("action"), said.get("symbols")
    meant = _WORDS.meant(action) if isinstance(action, str) else ""
    kind = _KINDS.get(meant)
    channel = said.get("channel", _CHANNELS.get(meant))
    named = [said.get("symbol"), *(many if isinstance(many, list) else ())]
    return CommandTarget(
        _id(said),
        channel if isinstance(channel, str) else UNSET,
        tuple(dict.fromkeys(one for one in named if isinstance(one, str))),
        () if kind is None else _named(_unknown(kind, said)),
    )


def _readable(data: bytes | str) -> dict[str, Any]:
    """Return the fields of a JSON object, even if it has numbers that JSON doesn't allow."""
    try:
        said = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError):
        said = json_input.almost_json(data)
    return said if isinstance(said, dict) else {}


def _id(said: dict[str, Any]) -> v1.Id:
    try:
        found: v1.Id = msgspec.convert(said.get("id", UNSET), v1.Id)
    except msgspec.ValidationError:
        return UNSET
    return found
