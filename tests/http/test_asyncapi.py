import json
from typing import Any, get_args

import httpx
import jsonschema
import pytest

from bookcast import Server
from bookcast.http import asyncapi
from bookcast.protocol.v1 import messages as v1
from tests.golden.sent import messages_of_v1


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


def schema_of(name: str) -> Any:
    """Return a schema by its name, with those that it refers to at hand."""
    schemas = document()["components"]["schemas"]
    return {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}


NAMES = {str(kind.__struct_config__.tag): kind.__name__ for kind in get_args(v1.Message)}


@pytest.mark.parametrize("type_", NAMES)
def test_messages_that_were_sent_are_as_described(type_: str) -> None:
    """All of the recorded conversations."""
    validator = jsonschema.Draft202012Validator(schema_of(NAMES[type_]))
    for text in dict.fromkeys(messages_of_v1()):
        message = json.loads(text)
        if message["type"] == type_:
            validator.validate(message)


@pytest.mark.parametrize(
    "level", [[1], [1, "2"], ["1", 2], {"price": 1, "size": 2}, 5, [1, 2, 0.5], [1, 2, 3, 4]]
)
def test_a_level_is_described_by_its_numbers(level: Any) -> None:
    """What isn't a price, a size and perhaps a count of orders and the orders is no level."""
    validator = jsonschema.Draft202012Validator(schema_of("Sides"))
    good = [[1.5, 2], [1, 2, 3], [1, 2, 3, [["id", 2], [7, 1]]]]
    validator.validate({"bids": good, "asks": []})
    assert not validator.is_valid({"bids": [level], "asks": []})


@pytest.mark.parametrize("ts", [[1, 2], [1, 2, None], ["1", 2, 3], [1, 2, 3, 4], 5, None])
def test_ts_is_described_as_three_times(ts: Any) -> None:
    """Of which those of the exchange and the feed may be unknown."""
    schemas = document()["components"]["schemas"]
    described = schemas["QuoteUpdate"]["properties"]["ts"]
    assert [item["title"] for item in described["prefixItems"]] == ["exchange", "feed", "server"]
    assert jsonschema.Draft202012Validator(described).is_valid([None, 1.5, 2])
    assert not jsonschema.Draft202012Validator(described).is_valid(ts)
