from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

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


KNOWN, FOREIGN = "https://app.example.com", "https://evil.example"


@pytest.mark.parametrize(
    ("environment", "origin", "passes", "credentials"),
    [
        ("development", KNOWN, True, True),
        ("development", f"{KNOWN}:443", True, True),
        ("development", "capacitor://localhost", True, True),
        ("development", "{own}", True, True),
        ("development", "http://localhost:5173", True, False),
        ("development", "null", True, False),
        ("development", "file://", True, False),
        ("development", FOREIGN, False, False),
        ("production", KNOWN, True, True),
        ("production", "{own}", True, True),
        ("production", "http://localhost:5173", False, False),
        ("production", "null", False, False),
        ("any", FOREIGN, True, False),
        ("any", "null", True, False),
        ("any", KNOWN, True, True),
    ],
)
async def test_a_browser_may_show_cookies_for_pages_known_by_name(
    environment: str, origin: str, passes: bool, credentials: bool
) -> None:
    """Never because of a star, a file or development's kindness; in a preflight as well."""
    listed = [KNOWN, "capacitor://localhost", *(["*"] if environment == "any" else [])]
    settings: Any = {"environment": "development" if environment == "development" else "production"}
    async with (
        serve(port=0, **settings, auth_mode="none", allowed_origins=listed) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http,
    ):
        said = {"Origin": origin.format(own=server.http_url)}
        preflight = await http.options(
            "/books/AAPL",
            headers={
                **said,
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": "authorization,x-requested-with",
            },
        )
        answers = [
            preflight,
            await http.get("/health", headers=said),
            await http.get("/books/AAPL", headers=said),
            await http.get("/nothing", headers=said),
        ]
    for answer in answers:
        assert "Origin" in answer.headers["Vary"]
        assert answer.headers.get("Access-Control-Allow-Origin") == (
            said["Origin"] if passes else None
        )
        allowed = answer.headers.get("Access-Control-Allow-Credentials")
        assert allowed == ("true" if credentials else None)
    assert preflight.status_code == (200 if passes else 403)
    if passes:
        asked = preflight.headers["Access-Control-Allow-Headers"]
        assert asked == "authorization,x-requested-with"


async def test_a_slash_too_many_makes_no_difference(http: httpx.AsyncClient) -> None:
    """There is no redirect, which would name http:// behind a proxy with TLS."""
    book = {"bids": [[1, 2]], "asks": []}
    for path in ("/broadcast/orderbook/?symbol=A", "//broadcast//orderbook?symbol=A"):
        assert (await http.post(f"{http.base_url}{path}", json=book)).status_code == 200
    for path in ("/health/", "/livez//", "//readyz", "/books/A/", "/books//A", "/symbols/?q=A"):
        answer = await http.get(f"{http.base_url}{path}")
        assert answer.status_code == 200, path
    assert (await http.get("/nothing/")).status_code == 404
    for path in ("/ws/me/", "/ws/", "/ws"):
        assert (await http.get(path)).status_code == 426


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/readyz/"])
async def test_probes_may_ask_by_any_of_these_methods(
    http: httpx.AsyncClient, method: str, path: str
) -> None:
    """Under any name, and the status says the same."""
    answer = await http.request(method, path, headers={"Host": "10.0.0.7"})
    assert answer.status_code == 200
    assert (answer.text == "") is (method == "HEAD")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_a_node_that_is_not_ready_says_so_by_each_method(method: str) -> None:
    """As a balancer's health check may use any."""
    async with (
        serve(port=0) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http,
    ):
        await server.drain()
        assert (await http.request(method, "/readyz")).status_code == 503
        assert (await http.request(method, "/livez")).status_code == 200


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
