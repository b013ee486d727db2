import json
from typing import Any, get_args

import httpx

from bookcast import Server
from bookcast.http import asyncapi
from bookcast.protocol import messages_v1 as v1


def document() -> Any:
    return json.loads(asyncapi.document())


def test_every_message_is_described() -> None:
    """With a sentence, under its word on the wire."""
    messages = document()["channels"]["connection"]["messages"]
    assert {message["name"] for message in messages.values()} == {
        struct.__struct_config__.tag for struct in get_args(v1.Message) + get_args(v1.Command)
    }
    assert all(message["summary"].endswith(".") for message in messages.values())


def test_every_reference_leads_somewhere() -> None:
    """Schemas and messages alike."""
    described = document()

    def look(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key == "$ref":
                    place = described
                    for step in inner.removeprefix("#/").split("/"):
                        place = place[step]
                look(inner)
        elif isinstance(value, list):
            for inner in value:
                look(inner)

    look(described)


async def test_the_document_is_served(server: Server) -> None:
    """As JSON."""
    async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http:
        answer = await http.get("/asyncapi.json")
    assert answer.json()["asyncapi"] == "3.0.0"
