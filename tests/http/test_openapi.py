import json
import re
from typing import Any

import httpx
import jsonschema
import pytest

from bookcast import Server
from bookcast.http import openapi

DOCUMENT: Any = json.loads(openapi.document())


def schema(name: str) -> Any:
    return {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}


@pytest.mark.parametrize(
    ("body", "valid"),
    [
        ({"bids": [[1, 2]], "asks": [[3, 4, 5]]}, True),
        ({"bids": [{"price": 1, "volume": 2, "x": 3}], "asks": [], "y": 1}, True),
        ({"bids": [["1", 2]], "asks": []}, False),
        ({"bids": [{"price": 1}], "asks": []}, False),
        ({"bids": [[1]], "asks": []}, False),
        ({"bids": []}, False),
    ],
)
def test_the_schema_of_a_book_says_what_the_server_takes(body: Any, valid: bool) -> None:
    """It is made from the Struct that reads it."""
    validator = jsonschema.Draft202012Validator(schema("PublishedBook"))
    assert validator.is_valid(body) is valid


@pytest.mark.parametrize(
    ("channel", "body", "valid"),
    [
        ("orderbook", {"code": "HK.1", "Bid": [[1.5, 2, 1, {}]], "Ask": []}, True),
        ("orderbook", {"code": "HK.1", "Bid": [[1.5, "2"]], "Ask": []}, False),
        ("quote", [{"code": "HK.1", "last_price": 1.5, "pre_price": "N/A"}], True),
        ("quote", [{"last_price": "1.5"}], False),
        ("trades", [{"price": 1, "volume": 2, "time": "2026-01-05 09:30:00"}], True),
        ("trades", [], False),
    ],
)
def test_what_futu_api_hands_over_is_in_the_document(channel: str, body: Any, valid: bool) -> None:
    """One row, or a list of them; what it doesn't know is 'N/A'."""
    post = DOCUMENT["paths"][f"/broadcast/{channel}"]["post"]
    wanted = post["requestBody"]["content"]["application/json"]["schema"]
    validator = jsonschema.Draft202012Validator({**wanted, "components": DOCUMENT["components"]})
    assert validator.is_valid(body) is valid
    [symbol] = [one for one in post["parameters"] if one["name"] == "symbol"]
    assert "required" not in symbol


async def test_every_answer_fits_its_schema(server: Server) -> None:
    """The document is true of each path that it names."""
    await server.publish("AAPL", {"bids": [[1, 2]], "asks": []})
    candle = {"open": 1, "high": 1, "low": 1, "close": 1, "volume": 1, "time": 1.8e12}
    others: Any = {
        "quote": {"last": 1},
        "trades": {"trades": [{"price": 1, "size": 2, "side": "buy"}]},
        "candles": {**candle, "final": True, "period": "1m"},
        "brokers": {"bids": [], "asks": []},
        "timeframe": {"price": 1, "time": 1.8e12},
    }
    for channel, data in others.items():
        await server.publish("AAPL", data, channel=channel)
    async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http:
        assert (await http.get("/openapi.json")).json() == DOCUMENT
        for path, methods in DOCUMENT["paths"].items():
            if "get" not in methods:
                continue
            given = {"period": "1m"} if path.startswith("/candles") else {}
            answer = await http.get(path.replace("{symbol}", "AAPL"), params=given)
            assert answer.status_code == 200, path
            content = methods["get"]["responses"]["200"]["content"]
            if "application/json" in content:
                name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
                jsonschema.Draft202012Validator(schema(name)).validate(answer.json())
        refused = await http.post("/broadcast/orderbook?symbol=AAPL", json={})
        jsonschema.Draft202012Validator(schema("Problem")).validate(refused.json())


def test_every_reference_leads_somewhere() -> None:
    """No schema is missing."""
    names = re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(DOCUMENT))
    assert set(names) <= set(DOCUMENT["components"]["schemas"])
