"""What the README and the examples show works as shown."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import httpx
import pytest

import bookcast
from bookcast.testing import ServerThread
from tests.fakes.opend import Controller
from tests.support import PATIENCE, ROOT, command, connect

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
    exec(program("async with bookcast.serve").replace("asyncio.run(main())", ""), names)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(names["main"](), 1)
    assert "watch AAPL at http://127.0.0.1:" in capfd.readouterr().out


async def test_the_readmes_client_shows_books(
    bookcast_server: ServerThread, capfd: pytest.CaptureFixture[str]
) -> None:
    """As they are published."""
    bookcast_server.publish("US.AAPL", {"bids": [[10, 5]], "asks": [[11, 6]]})
    names: dict[str, Any] = {}
    text = program("client.connect").replace("http://localhost:8002", bookcast_server.http_url)
    exec(text.replace("asyncio.run(main())", ""), names)
    running = asyncio.ensure_future(names["main"]())
    printed = ""
    while not printed:
        await asyncio.wait([running], timeout=0.05)
        assert not running.done()
        printed = capfd.readouterr().out
    running.cancel()
    await asyncio.wait([running])
    assert printed == "10 11\n"


def test_the_readmes_test_passes(bookcast_server: ServerThread) -> None:
    """With the fixture."""
    names: dict[str, Any] = {}
    exec(program("def test_"), names)
    names["test_my_page"](bookcast_server)


# A shell ignores SIGINT in what it runs in the background, and processes inherit that.
INTERRUPTIBLE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@contextmanager
def started(name: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """Run an example, and yield it with what it prints. Ctrl-C reaches it as in a terminal."""
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, str(ROOT / "examples" / name), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        with process.stdout:
            yield process, process.stdout
    finally:
        process.kill()
        process.wait(PATIENCE)


@contextmanager
def example(name: str, *arguments: str) -> Iterator[IO[str]]:
    """Run an example, and yield what it prints."""
    with started(name, *arguments) as (_, lines):
        yield lines


def until(lines: IO[str], pattern: str) -> list[str]:
    """Read lines until one matches."""
    read = []
    for line in lines:
        read.append(line)
        if re.search(pattern, line):
            return read
    raise AssertionError(f"no {pattern!r} in {read}")


@pytest.mark.filterwarnings("ignore:::(jupyter|zmq|tornado)")  # the kernel's side isn't ours
def test_the_notebook_runs(bookcast_server: ServerThread) -> None:
    """Each cell in a real kernel, whose loop runs; it draws two pictures."""
    from jupyter_client.manager import start_new_kernel

    notebook = json.loads((ROOT / "examples" / "order_book.ipynb").read_text())
    cells = ["".join(one["source"]) for one in notebook["cells"] if one["cell_type"] == "code"]
    assert all(not one.get("outputs") for one in notebook["cells"])
    with command("demo", "--port", "0") as demo:
        manager, client = start_new_kernel(env={**os.environ, "BOOKCAST_URL": demo.http_url})
        shown: list[Any] = []
        try:
            for cell in cells:
                answer = client.execute_interactive(
                    cell, timeout=PATIENCE * 4, output_hook=shown.append, allow_stdin=False
                )
                assert answer["content"]["status"] == "ok", answer["content"]
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    printed = "".join(one["content"].get("text", "") for one in shown)
    pictures = [one for one in shown if "image/svg+xml" in one["content"].get("data", {})]
    assert "agrees" in printed
    assert len(pictures) == 2


def test_a_signal_of_ones_own_is_published_beside_the_market() -> None:
    """Others see it as a quote."""
    with (
        command("demo", "--port", "0") as demo,
        example("own_signal.py", "US.AAPL", "--url", demo.http_url) as lines,
    ):
        until(lines, r"^MY\.US\.AAPL\.IMBALANCE [+-][01]\.\d{4}$")
        quote = bookcast.snapshot("MY.US.AAPL.IMBALANCE", "quote", url=demo.http_url, timeout=30)
        assert -1 <= (quote.last or 0) <= 1


def test_the_bot_survives_a_restart_of_the_server() -> None:
    """And sees the price that comes afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])

    def publish(url: str, price: float) -> None:
        trade = {"trades": [{"price": price, "size": 7}]}
        httpx.post(f"{url}/broadcast/trades?symbol=A", json=trade, trust_env=False)

    serve = ("serve", "--port", port, "--feed", "none")
    with command(*serve) as server:
        publish(server.http_url, 1)
        options = ("A", "--above", "200", "--url", server.http_url)
        with example("price_bot.py", *options) as lines:
            until(lines, "^A at 1")
            server.end(signal.SIGKILL)
            until(lines, "^connection: waiting")
            with command(*serve) as again:
                until(lines, "^connection: open")
                for price in (199.5, 201, 202):
                    publish(again.http_url, price)
                assert until(lines, "^there it is")[-1] == "there it is: 7 at 201\n"


def test_a_callback_of_futu_api_publishes_to_a_server(bookcast_server: ServerThread) -> None:
    """From the vendor's thread, at the OpenD that it is told."""
    opend = Controller()
    try:
        options = ("HK.00700", "--host", "127.0.0.1", "--port", str(opend.port))
        with example("futu_client.py", *options, "--url", bookcast_server.http_url) as lines:
            until(lines, r"^subscribed")
            pushed = {"code": "HK.00700", "bids": [[336.6, 5400, 2]], "asks": [[336.8, 1000, 5]]}
            opend.push(pushed)
            until(lines, r"^published \d+$")
            book = bookcast.snapshot("HK.00700", url=bookcast_server.http_url, timeout=30)
            assert (book.bids[0].price, book.asks[0].orders) == (336.6, 5)
    finally:
        opend.close()


def test_every_link_of_the_documents_leads_somewhere() -> None:
    """To a file of the tree that is not empty."""
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text()):
            if "://" not in link:
                assert (document.parent / link).stat().st_size > 0, f"{document.name}: {link}"


@pytest.mark.parametrize("name", ["own_signal.py", "price_bot.py", "futu_client.py"])
def test_an_example_shows_no_traceback(name: str) -> None:
    """Interrupted while there is no server, it ends; an address that is none gets a sentence."""
    options = ["--above", "1"] if name == "price_bot.py" else []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        url = f"ws://127.0.0.1:{taken.getsockname()[1]}"
        if name != "futu_client.py":  # it would wait for OpenD
            with started(name, *options, "--url", url) as (process, lines):
                until(lines, "connection: waiting .*ConnectionRefused")
                process.send_signal(signal.SIGINT)
                assert "Traceback" not in lines.read()
    with example(name, *options, "--url", "localhost:8002") as lines:
        said = lines.read()
    assert "Name the server" in said
    assert "Traceback" not in said
