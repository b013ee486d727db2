from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bookcast import serve
from bookcast.http import client_script
from tests.support import PATIENCE

TEXT = "globalThis.Bookcast = class {};\n"


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Put a file in the place of the built one."""
    file = tmp_path / "client.js"
    file.write_text(TEXT)
    monkeypatch.setattr(client_script, "FILE", file)
    return file


def write(file: Path, text: str) -> None:
    file.write_text(text)


@pytest.fixture
async def http(built: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Call a server that asks everybody for a token."""
    async with (
        serve(port=0, auth_mode="jwt", auth_jwt_secret="s" * 32) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False, timeout=PATIENCE) as client,
    ):
        yield client


async def test_anybody_is_served_the_script(http: httpx.AsyncClient) -> None:
    """Without a token, and so that a page of another site may run it as what it is."""
    assert (await http.get("/books/AAPL")).status_code == 401
    answer = await http.get("/client.js", headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, answer.text) == (200, TEXT)
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["Cache-Control"] == "no-cache"


async def test_a_browser_is_sent_the_script_once(http: httpx.AsyncClient) -> None:
    """However a proxy in between writes the tag; another tag gets it anew."""
    tag = (await http.get("/client.js")).headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', f'"other",W/{tag}', "*"):
        answer = await http.get("/client.js", headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == tag
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    for known in ('"other"', tag.strip('"'), ""):
        answer = await http.get("/client.js", headers={"If-None-Match": known})
        assert (answer.status_code, answer.text) == (200, TEXT)


async def test_head_is_answered_as_get_without_the_text(http: httpx.AsyncClient) -> None:
    """With the same headers; nothing else is taken."""
    got, head = await http.get("/client.js"), await http.head("/client.js")
    assert (head.status_code, head.content) == (200, b"")
    assert {**head.headers, "date": ""} == {**got.headers, "date": ""}
    answer = await http.post("/client.js", content=b"")
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD"}


async def test_another_script_has_another_tag(http: httpx.AsyncClient, built: Path) -> None:
    """It is that of the text, so that all nodes of a release agree."""
    tag = (await http.get("/client.js")).headers["ETag"]
    for text, same in ((TEXT, True), (TEXT + " ", False)):
        write(built, text)
        async with (
            serve(port=0) as other,
            httpx.AsyncClient(base_url=other.http_url, trust_env=False) as client,
        ):
            assert ((await client.get("/client.js")).headers["ETag"] == tag) == same


async def test_the_origin_policy_holds_for_pages_that_say_who_they_are(
    http: httpx.AsyncClient,
) -> None:
    """A page that asks with CORS is told here what its WebSocket would be told."""
    refused = await http.get("/client.js", headers={"Origin": "https://evil.example"})
    assert (refused.status_code, refused.json()["code"]) == (403, "origin_not_allowed")
    origin = "http://localhost:3000"
    allowed = await http.get("/client.js", headers={"Origin": origin})
    assert allowed.headers["Access-Control-Allow-Origin"] in {"*", origin}


async def test_a_checkout_without_the_script_says_how_to_build_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Everything else works."""
    monkeypatch.setattr(client_script, "FILE", tmp_path / "missing")
    async with (
        serve(port=0) as server,
        httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http,
    ):
        answer = await http.get("/client.js")
        assert (answer.status_code, answer.json()["code"]) == (503, "page_not_built")
        assert "make setup" in answer.json()["detail"]
        assert (await http.get("/health")).status_code == 200
