from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bookcast import Server, serve
from bookcast.http import app


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as client:
        yield client


async def test_pages_of_this_machine_may_call(http: httpx.AsyncClient) -> None:
    """Their browser is told so, in a preflight as well."""
    origin = {"Origin": "http://localhost:5173"}
    answer = await http.get("/health", headers=origin)
    assert answer.headers["Access-Control-Allow-Origin"] in {"*", origin["Origin"]}
    preflight = await http.options(
        "/broadcast/orderbook",
        headers={
            **origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        },
    )
    assert preflight.status_code == 200
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]


async def test_pages_from_elsewhere_are_refused_and_the_setting_named(
    http: httpx.AsyncClient,
) -> None:
    """Nothing is published, whatever the method."""
    answer = await http.post(
        "/broadcast/orderbook?symbol=AAPL",
        json={"bids": [], "asks": []},
        headers={"Origin": "https://evil.example"},
    )
    assert answer.status_code == 403
    assert "ALLOWED_ORIGINS" in answer.json()["detail"]
    assert (await http.get("/symbols")).json() == {"symbols": []}


async def test_an_allowed_origin_may_call() -> None:
    """The list is one setting for HTTP and WebSocket."""
    async with (
        serve(port=0, allowed_origins=["https://app.example.com"]) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http,
    ):
        answer = await http.get("/health", headers={"Origin": "https://app.example.com"})
        assert answer.status_code == 200


async def test_a_checkout_without_the_page_says_how_to_build_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Everything else works."""
    monkeypatch.setattr(app, "PAGE", tmp_path / "missing")
    async with (
        serve(port=0) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http,
    ):
        page = await http.get("/")
        assert (page.status_code, page.json()["code"]) == (503, "page_not_built")
        assert "make setup" in page.json()["detail"]
        assert (await http.get("/favicon.svg")).status_code == 204
        assert (await http.get("/health")).status_code == 200


async def test_the_page_and_its_assets_are_served(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The page is asked for each time, and may load nothing from elsewhere."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<title>page</title>")
    (tmp_path / "favicon.svg").write_text("<svg/>")
    (tmp_path / "assets" / "main.js").write_text("1")
    monkeypatch.setattr(app, "PAGE", tmp_path)
    async with (
        serve(port=0) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http,
    ):
        page = await http.get("/")
        assert page.text == "<title>page</title>"
        assert page.headers["Cache-Control"] == "no-cache"
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        asset = await http.get("/assets/main.js")
        assert (asset.text, "immutable" in asset.headers["Cache-Control"]) == ("1", True)
        assert (await http.get("/assets/../index.html")).status_code in {200, 404}
        assert (await http.get("/assets/nothing.js")).json()["code"] == "not_found"
        assert (await http.get("/favicon.svg")).text == "<svg/>"
