"""The OpenAPI document, made from the Structs that read and write the wire."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bookcast.http import problem, schemas
from bookcast.protocol.messages import PublishedBook
from bookcast.publisher import Published
from bookcast.version import __version__

_REF: Final = "#/components/schemas/{name}"
_SYMBOL: Final = {
    "description": "MARKET.CODE, for instance US.AAPL; without a market, the default one is meant",
    "schema": {"type": "string", "minLength": 1, "maxLength": 64},
    "required": True,
}
_STRUCTS: Final = (
    PublishedBook,
    problem.Problem,
    Published,
    schemas.Health,
    schemas.Stats,
    schemas.KnownBook,
    schemas.KnownSymbols,
    schemas.Alive,
)


def _reference(struct: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _REF.format(name=struct.__name__)}


def _answers(
    struct: type[msgspec.Struct] | None, refusals: dict[int, str], media_type: str
) -> dict[str, Any]:
    content = {"schema": _reference(struct)} if struct is not None else {}
    answers: dict[str, Any] = {"200": {"description": "Done", "content": {media_type: content}}}
    # Pages that the origin policy refuses can ask for anything.
    for status, description in {403: "The page's origin is not allowed", **refusals}.items():
        answers[str(status)] = {
            "description": description,
            "content": {
                problem.ProblemResponse.media_type: {"schema": _reference(problem.Problem)}
            },
        }
    return answers


def _get(
    summary: str,
    struct: type[msgspec.Struct] | None,
    refusals: dict[int, str] | None = None,
    parameters: list[dict[str, Any]] | None = None,
    media_type: str = "application/json",
) -> dict[str, Any]:
    return {
        "get": {
            "summary": summary,
            "parameters": parameters or [],
            "responses": _answers(struct, refusals or {}, media_type),
        }
    }


@lru_cache(maxsize=1)
def document() -> bytes:
    """Give the document as JSON."""
    _, components = msgspec.json.schema_components(_STRUCTS, ref_template=_REF)
    components["PublishedLevel"]["anyOf"] = [{"required": ["size"]}, {"required": ["volume"]}]
    paths: dict[str, Any] = {
        "/broadcast/orderbook": {
            "post": {
                "summary": "Publish an order book to everybody who subscribed to its symbol",
                "parameters": [{"name": "symbol", "in": "query", **_SYMBOL}],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": _reference(PublishedBook)}},
                },
                "responses": _answers(
                    Published,
                    {
                        400: "The body is not JSON",
                        413: "The body is too large",
                        415: "The body is not application/json",
                        422: "The symbol or the book is wrong; path names the field",
                    },
                    "application/json",
                ),
            }
        },
        "/books/{symbol}": _get(
            "The newest book of a symbol",
            schemas.KnownBook,
            {404: "No book of this symbol yet", 422: "Not a symbol"},
            [{"name": "symbol", "in": "path", **_SYMBOL}],
        ),
        "/symbols": _get(
            "The symbols that contain a text, or all",
            schemas.KnownSymbols,
            parameters=[{"name": "q", "in": "query", "schema": {"type": "string"}}],
        ),
        "/health": _get("How the server and its parts are", schemas.Health),
        "/stats": _get("What the server has done since it started", schemas.Stats),
        "/livez": _get("Whether the process answers", schemas.Alive),
        "/readyz": _get("Whether new clients should be sent here", schemas.Alive, {503: "Not now"}),
        "/metrics": _get("The numbers for Prometheus", None, media_type="text/plain"),
    }
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "bookcast",
                "version": __version__,
                "description": "Publishing and looking up. Live data come over the WebSocket at "
                "/ws/{client_id}.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "paths": paths,
            "components": {"schemas": components},
        }
    )


async def endpoint(_request: Request) -> Response:
    """Serve the document."""
    return Response(document(), media_type="application/json")
