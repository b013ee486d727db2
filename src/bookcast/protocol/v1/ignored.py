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
"""An answer names at most this many ignored fields."""


def name_ignored(actions: Sequence[Action], names: Sequence[str]) -> Sequence[Action]:
    """Return the same actions, with answers that name the ignored fields."""
    return [_named(action, list(names)) for action in actions] if names else actions


def _named(action: Action, names: list[str]) -> Action:
    def with_names(message: Message) -> Message:
        if "ignored" not in message.__struct_fields__:
            return message
        others = getattr(message, "ignored", UNSET)
        more = [] if others is UNSET else others
        return msgspec.structs.replace(message, ignored=[*names, *more][:MAX_IGNORED])

    def naming(answer: Callable[..., Message]) -> Any:
        return lambda *given: with_names(answer(*given))

    match action:
        case Send(message):
            action = action._replace(message=with_names(message))
        case Subscribe(confirm=confirm) if confirm is not None:
            action = action._replace(confirm=naming(confirm))
        case Restore(answer=answer) if answer is not None:
            action = action._replace(answer=naming(answer))
        case Explain(answer=answer):
            action = action._replace(answer=naming(answer))
        case Publish(answer=answer, refuse=refuse) | Authenticate(answer=answer, refuse=refuse):
            action = action._replace(answer=naming(answer), refuse=naming(refuse))
        case Resume(restore=restore, refuse=refuse):
            action = action._replace(
                restore=lambda saved: name_ignored(restore(saved), names), refuse=naming(refuse)
            )
    return action
