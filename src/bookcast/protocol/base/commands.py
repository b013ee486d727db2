"""Reads the commands of base clients."""

from __future__ import annotations

from typing import Final

import msgspec

from bookcast.errors import InvalidInput
from bookcast.ingest.json_input import invalid, not_json
from bookcast.protocol.base import messages


class _Head(msgspec.Struct):
    action: str


_head: Final = msgspec.json.Decoder(_Head)
_commands: Final[dict[str, msgspec.json.Decoder[messages.Command]]] = {
    str(kind.__struct_config__.tag): msgspec.json.Decoder(kind)
    for kind in (
        messages.Subscribe,
        messages.Unsubscribe,
        messages.Ping,
        messages.Authenticate,
    )
}


class UnknownAction(InvalidInput):
    """The action isn't one of the protocol's. The message is part of the base protocol."""

    def __init__(self) -> None:
        super().__init__("invalid_message", "Unknown action", path="action")


def decode_command(data: bytes | str) -> messages.Command:
    """Return the command that a client sent.

    Raises:
        UnknownAction: for an action that doesn't exist.
        InvalidInput: for anything else that is wrong; its message names the place.
    """
    try:
        action = _head.decode(data).action
        if action not in _commands:
            raise UnknownAction
        return _commands[action].decode(data)
    except msgspec.ValidationError as error:
        raise invalid("invalid_message", error, "The message", messages.Command) from None
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InvalidInput("invalid_json", not_json(error)) from None
