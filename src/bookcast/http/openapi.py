"""The OpenAPI document, made from the Structs that are read and written over HTTP."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from bookcast.http import problem, read_query, schemas
from bookcast.http.report import MAX_TOPICS
from bookcast.ingest import schemas as shapes
from bookcast.ingest.futu_api import rows
from bookcast.ingest.idempotency_keys import HEADER, MAX_LENGTH
from bookcast.ingest.publisher import Published
from bookcast.model.topics import CHANNELS, ODD, PERIODS, Channel
from bookcast.version import __version__

_REF: Final = "#/components/schemas/{name}"
_SYMBOL: Final = {
    "description": "MARKET.CODE, for instance US.AAPL; without a market, the default one is meant",
    "schema": {"type": "string", "minLength": 1, "maxLength": 64},
    "required": True,
}
_SYMBOL_OR_CODE: Final = {
    "description": f"{_SYMBOL['description']}. May be absent if the data have futu-api's code",
    "schema": _SYMBOL["schema"],
}
_KNOWN: Final[dict[str, type[msgspec.Struct]]] = {
    "orderbook": schemas.KnownBook,
    "quote": schemas.KnownQuote,
    "trades": schemas.KnownTrades,
    "candles": schemas.KnownCandles,
    "brokers": schemas.KnownBrokers,
    "timeframe": schemas.KnownTimePoint,
}
_STRUCTS: Final = (
    *shapes.PUBLISHED.values(),
    *rows.VENDOR.values(),
    problem.Problem,
    Published,
    schemas.BatchResult,
    schemas.Health,
    schemas.Stats,
    *_KNOWN.values(),
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
    # A page that the origin policy refuses gets 403 from every path.
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


_VARIANT: Final = {"name": "variant", "in": "query", "schema": {"enum": [ODD]}}


def _read(path: str) -> dict[str, Any]:
    """Return the description of a channel's reads."""
    channel = read_query.PATHS[path]
    chosen: dict[str, dict[str, Any]] = {
        "period": {
            "name": "period",
            "in": "query",
            "required": True,
            "schema": {"enum": list(PERIODS)},
        },
        "variant": _VARIANT,
    }
    for name, (least, most, default, meaning) in read_query.RANGES.items():
        schema = {"type": "integer", "minimum": least, "maximum": most}
        if default is not None:
            schema["default"] = default
        chosen[name] = {"name": name, "in": "query", "description": meaning, "schema": schema}
    return _get(
        f"The newest {path} of a symbol; a read makes the feed get the topic",
        _KNOWN[channel],
        {
            404: "Nothing is known of this topic yet; ask again, or wait for it with wait_ms",
            422: "Not a symbol or not a parameter, or the feed can't get the symbol",
            429: "Too many topics without a subscriber are read already",
            503: "The newest state can't be read now",
        },
        [
            {"name": "symbol", "in": "path", **_SYMBOL},
            *(chosen[name] for name in read_query.parameters(channel)),
        ],
    )


_PERIOD: Final = {
    "name": "period",
    "in": "query",
    "description": "The data may have it instead",
    "schema": {"enum": list(PERIODS)},
}
_KEY: Final = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_LENGTH,
    "description": "If it is sent again with the same key within 10 minutes, the first answer "
    "is returned, and nothing is published",
}


def _forms(channel: Channel) -> list[dict[str, Any]]:
    """Return the forms of data that may be published to a channel."""
    ours, row = _reference(shapes.PUBLISHED[channel]), _reference(rows.VENDOR[channel])
    return [ours, row, {"type": "array", "items": row, "minItems": 1}]


_UPDATE: Final = {
    "title": "PublishedUpdate",
    "type": "object",
    "properties": {
        "channel": {"enum": list(CHANNELS)},
        "symbol": _SYMBOL["schema"],
        "period": {"enum": [*PERIODS, None]},
        "data": {"anyOf": [form for channel in CHANNELS for form in _forms(channel)]},
        "idempotency_key": _KEY,
    },
    "required": ["channel", "data"],
}


def _broadcast(channel: Channel) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": "symbol", "in": "query", **_SYMBOL_OR_CODE},
        {"name": HEADER, "in": "header", "schema": _KEY},
    ]
    if channel == "candles":
        parameters.append(_PERIOD)
    return _post(
        f"Publish to all subscribers of a symbol's {channel}",
        {"anyOf": _forms(channel)},
        Published,
        parameters,
    )


def _post(
    summary: str,
    body: dict[str, Any],
    answer: type[msgspec.Struct],
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    refusals = {
        400: "The body is not JSON",
        413: "The body is too large",
        415: "The body is not application/json",
        422: "The symbol or the data are wrong; path names the field. Or the idempotency key was "
        "used for something else",
        503: "Redis is away; published says whether nothing was published, or that is unknown",
    }
    return {
        "post": {
            "summary": summary,
            "parameters": parameters or [],
            "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
            "responses": _answers(answer, refusals, "application/json"),
        }
    }


def _removed() -> dict[str, Any]:
    answers = _answers(
        None,
        {
            404: "Nobody has published anything to it, or there is no such channel",
            422: "No such topic; path names what is wrong",
            503: "Redis is away; the topic isn't removed",
        },
        "application/json",
    )
    del answers["200"]
    return answers | {"204": {"description": "It is removed"}}


@lru_cache(maxsize=1)
def document() -> bytes:
    """Return the document as JSON."""
    _, components = msgspec.json.schema_components(_STRUCTS, ref_template=_REF)
    components["PublishedLevel"]["anyOf"] = [{"required": ["size"]}, {"required": ["volume"]}]
    components["PublishedUpdate"] = _UPDATE
    for struct in rows.VENDOR.values():
        properties = components[struct.__name__]["properties"]
        for name, known in properties.items():
            properties[name] = {"anyOf": [known, {"enum": ["N/A", "", None]}]}
    paths: dict[str, Any] = {
        **{f"/broadcast/{channel}": _broadcast(channel) for channel in CHANNELS},
        "/broadcast": _post(
            "Publish updates of any topics, in order; an error in one doesn't affect the others",
            {
                "type": "object",
                "properties": {
                    "updates": {
                        "type": "array",
                        "items": {"$ref": _REF.format(name="PublishedUpdate")},
                    }
                },
                "required": ["updates"],
            },
            schemas.BatchResult,
        ),
        **{f"/{path}/{{symbol}}": _read(path) for path in read_query.PATHS},
        "/topics/{channel}/{symbol}": {
            "delete": {
                "summary": "Forget a topic at all nodes, until the next publication to it",
                "parameters": [
                    {
                        "name": "channel",
                        "in": "path",
                        "required": True,
                        "schema": {"enum": list(CHANNELS)},
                    },
                    {"name": "symbol", "in": "path", **_SYMBOL},
                    {"name": "period", "in": "query", "schema": {"enum": list(PERIODS)}},
                    _VARIANT,
                ],
                "responses": _removed(),
            }
        },
        "/symbols": _get(
            "The symbols that contain a text, or all",
            schemas.KnownSymbols,
            parameters=[{"name": "q", "in": "query", "schema": {"type": "string"}}],
        ),
        "/health": _get("The health of the server and its parts", schemas.Health),
        "/stats": _get(
            "What the server has done since it started",
            schemas.Stats,
            {422: "limit or symbol is wrong"},
            [
                {
                    "name": "limit",
                    "in": "query",
                    "description": "At most this many topics are listed",
                    "schema": {
                        "type": "integer",
                        "minimum": 0,
                        "maximum": MAX_TOPICS,
                        "default": MAX_TOPICS,
                    },
                },
                {**_SYMBOL, "name": "symbol", "in": "query", "required": False},
            ],
        ),
        "/livez": _get("Whether the process answers", schemas.Alive),
        "/readyz": _get("Whether new clients should be sent here", schemas.Alive, {503: "Not now"}),
        "/metrics": _get("The metrics, for Prometheus", None, media_type="text/plain"),
    }
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "bookcast",
                "version": __version__,
                "description": "Publishing and reading. Live data come over the WebSocket at "
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
