"""What the README and the examples show works as shown."""

import asyncio
import re
from typing import Any

import httpx
import pytest

import bookcast
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


def program(word: str) -> str:
    """Return the README's Python that has a word, at a free port."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    [found] = [block for block in blocks if word in block]
    return str(found).replace("port=8002", "port=0")


def test_the_readmes_script_and_notebook_run(capfd: pytest.CaptureFixture[str]) -> None:
    """The cell of the notebook twice, within a running loop."""
    exec(program("with bookcast.serve_in_thread"), {})
    cell = program("globals()")
    names: dict[str, Any] = {"bookcast": bookcast}

    async def run_twice() -> None:
        for _ in range(2):
            exec(cell, names)

    asyncio.run(run_twice())
    names["server"].stop()
    assert capfd.readouterr().err == ""


async def test_the_readmes_program_runs(capfd: pytest.CaptureFixture[str]) -> None:
    """Its books come; it goes on for a while."""
    names: dict[str, Any] = {}
    exec(program("asyncio.run(main())").replace("asyncio.run(main())", ""), names)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(names["main"](), 1)
    assert "watch AAPL at http://127.0.0.1:" in capfd.readouterr().out


def test_the_readmes_test_passes(bookcast_server: ServerThread) -> None:
    """With the fixture."""
    names: dict[str, Any] = {}
    exec(program("def test_"), names)
    names["test_my_page"](bookcast_server)


def test_every_link_of_the_documents_leads_somewhere() -> None:
    """To a file of the tree that is not empty."""
    for document in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
            if "://" not in link:
                assert (document.parent / link).stat().st_size > 0, f"{document.name}: {link}"
