"""The AsyncAPI document of ``bookcast.v1``, made from the Structs of its messages."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, get_args

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bookcast.protocol.v1 import messages as v1
from bookcast.version import __version__

_REF: Final = "#/components/schemas/{name}"
_COMMANDS: Final[tuple[type[msgspec.Struct], ...]] = get_args(v1.Command)
_MESSAGES: Final[tuple[type[msgspec.Struct], ...]] = get_args(v1.Message)


def _summary(struct: type[msgspec.Struct]) -> str:
    return (struct.__doc__ or "").partition("\n")[0]


def _messages(structs: tuple[type[msgspec.Struct], ...]) -> dict[str, Any]:
    return {
        struct.__name__: {
            "name": struct.__struct_config__.tag,
            "summary": _summary(struct),
            "payload": {"$ref": _REF.format(name=struct.__name__)},
        }
        for struct in structs
    }


def _operation(action: str, structs: tuple[type[msgspec.Struct], ...]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/connection"},
        "messages": [
            {"$ref": f"#/channels/connection/messages/{struct.__name__}"} for struct in structs
        ],
    }


@lru_cache(maxsize=1)
def document() -> bytes:
    """Return the document as JSON."""
    _, components = msgspec.json.schema_components((*_COMMANDS, *_MESSAGES), ref_template=_REF)
    return msgspec.json.encode(
        {
            "asyncapi": "3.0.0",
            "info": {
                "title": "bookcast.v1",
                "version": __version__,
                "description": "Ask for the subprotocol bookcast.v1, or add ?protocol=bookcast.v1. "
                "A client that asks for neither speaks the base protocol, which isn't described "
                "here.",
                "license": {"name": "Apache-2.0"},
            },
            "defaultContentType": "application/json",
            "channels": {
                "connection": {
                    "address": "/ws/{client_id}",
                    "parameters": {
                        "client_id": {"description": "Any text of 1 to 128 printable characters"}
                    },
                    "messages": {**_messages(_COMMANDS), **_messages(_MESSAGES)},
                }
            },
            # From the server's view: it receives the clients' messages.
            "operations": {
                "receive": _operation("receive", _COMMANDS),
                "send": _operation("send", _MESSAGES),
            },
            "components": {"schemas": components},
        }
    )


async def endpoint(_request: Request) -> Response:
    """Serve the document."""
    return Response(document(), media_type="application/json")
