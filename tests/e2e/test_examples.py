"""What the README and the examples show works as shown."""

import re

import httpx
import pytest

from bookcast.testing import ServerThread
from tests.support import ROOT, connect

README = (ROOT / "README.md").read_text()


async def test_the_fastapi_example_publishes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server runs inside the app's own life."""
    monkeypatch.setenv("WEBSOCKET_PORT", "0")
    from examples.fastapi_app import app

    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://app") as http,
        connect(app.state.bookcast.ws_url + "me?symbols=AAPL") as client,
    ):
        await client.hear()
        assert (await http.post("/trade?price=190")).json() == {"subscribers": 1}
        assert (await client.hear())["data"]["bids"] == [[189.99, 100]]


async def test_the_readmes_publish_reaches_the_readmes_subscriber(
    bookcast_server: ServerThread,
) -> None:
    """The body and the commands are those that the page shows."""
    command = re.search(r"ws\.send\('(.*)'\)", README)
    body = re.search(r"-d '(.*)'", README)
    assert command is not None
    assert body is not None
    async with connect(bookcast_server.ws_url + "me") as client:
        assert (await client.ask(command[1]))["type"] == "subscription_confirmed"
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(
                bookcast_server.http_url + "/broadcast/orderbook?symbol=AAPL",
                content=body[1],
                headers={"Content-Type": "application/json"},
            )
        assert answer.json()["subscribers"] == 1
        assert (await client.hear())["data"]["bids"][0] == [189.9, 300]


def test_every_link_of_the_documents_leads_somewhere() -> None:
    """To a file of the tree that is not empty."""
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
            if "://" not in link:
                assert (document.parent / link).stat().st_size > 0, f"{document.name}: {link}"
