"""Adds the names of ignored fields, for instance misspelt ones, to the answers to a message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from bookcast.protocol.actions import (
    Action,
    Authenticate,
    Explain,
    Message,
    Publish,
    Restore,
    Resume,
    Send,
    Subscribe,
)

MAX_IGNORED: Final = 10
"""So many ignored fields an answer names."""


def name_ignored(actions: Sequence[Action], names: Sequence[str]) -> Sequence[Action]:
    """Return actions whose answers to the client name what was ignored."""
    return [_named(action, list(names)) for action in actions] if names else actions


def _named(action: Action, names: list[str]) -> Action:
    def say(message: Message) -> Message:
        if "ignored" not in message.__struct_fields__:
            return message
        others = getattr(message, "ignored", UNSET)
        more = [] if others is UNSET else others
        return msgspec.structs.replace(message, ignored=[*names, *more][:MAX_IGNORED])

    def saying(answer: Callable[..., Message]) -> Any:
        return lambda *given: say(answer(*given))

    match action:
        case Send(message):
            action = action._replace(message=say(message))
        case Subscribe(confirm=confirm) if confirm is not None:
            action = action._replace(confirm=saying(confirm))
        case Restore(answer=answer) if answer is not None:
            action = action._replace(answer=saying(answer))
        case Explain(answer=answer):
            action = action._replace(answer=saying(answer))
        case Publish(answer=answer, refuse=refuse) | Authenticate(answer=answer, refuse=refuse):
            action = action._replace(answer=saying(answer), refuse=saying(refuse))
        case Resume(restore=restore, refuse=refuse):
            action = action._replace(
                restore=lambda parked: name_ignored(restore(parked), names), refuse=saying(refuse)
            )
    return action
