"""What docs/clients.md shows works as shown: with the package as it is packed, on a real server."""

from __future__ import annotations

import http.server
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Page, expect

from tests.auth.keyring import SECRET, sign
from tests.support import PATIENCE, ROOT, Command, command, missing

from .site import Site

PACKAGE = ROOT / "clients" / "typescript"
BORROWED = [
    *("ws", "@types/ws", "@types/node", "undici-types"),
    *("react", "react-dom", "scheduler", "@types/react", "@types/react-dom", "csstype"),
]
"""Packages that are installed beside the client, in place of what a registry would give."""

SERVER, TOKENS = "localhost:8002", "localhost:3000"


class Block(NamedTuple):
    """A block of code, and where it stands."""

    kind: str
    text: str
    place: str


def blocks(path: Path) -> list[Block]:
    """Read all blocks of a document."""
    text = path.read_text()
    return [
        Block(
            found[1],
            found[2],
            f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, found.start()) + 1}",
        )
        for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


BLOCKS = [
    *blocks(ROOT / "docs" / "clients.md"),
    *blocks(PACKAGE / "README.md"),
    # The rest of it is about the server.
    *(block for block in blocks(ROOT / "README.md") if block.kind == "ts"),
]


def of_kind(kind: str) -> Any:
    """Give each block of a kind to a test."""
    found = [block for block in BLOCKS if block.kind == kind]
    assert found, kind
    return pytest.mark.parametrize("block", found, ids=[block.place for block in found])


def test_every_block_is_run() -> None:
    """A new kind needs a test of its own."""
    assert {block.kind for block in BLOCKS} == {"sh", "ts", "tsx", "html", "python"}


def run(*arguments: str | Path, cwd: Path) -> str:
    """Run a command to its end, and return what it prints."""
    result = subprocess.run(
        [str(one) for one in arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE * 5,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


NPM = """
npm() {
  case "$1 $*" in
    *" ci") test -d "$2/node_modules" ;;
    pack*) command npm --ignore-scripts "$@" ;;
  esac
}
"""
"""What `npm ci` brings, and what `npm pack` builds, is there: `make setup` has done both."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has installed the package as the document says, and compiled the blocks."""
    modules = PACKAGE / "node_modules"
    if not (PACKAGE / "dist" / "index.js").is_file() or shutil.which("npm") is None:
        missing("the client isn't built: run 'make setup'")
    folder = tmp_path_factory.mktemp("clients")
    copy = folder / "clients" / "typescript"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("node_modules"))
    (copy / "node_modules").symlink_to(modules)
    [made] = [block for block in BLOCKS if block.kind == "sh"]
    run("bash", "-euc", NPM + made.text, cwd=folder)
    [tarball] = folder.glob("*.tgz")
    (folder / "node_modules" / "@bookcast").mkdir(parents=True)
    with tarfile.open(tarball) as archive:
        archive.extractall(folder, filter="data")
    (folder / "package").rename(folder / "node_modules" / "@bookcast" / "client")
    (folder / "node_modules" / "@types").mkdir()
    for name in BORROWED:
        (folder / "node_modules" / name).symlink_to(modules / name)
    (folder / "package.json").write_text('{"type": "module"}')
    for number, block in enumerate(typescript()):
        (folder / f"block{number}.ts").write_text(block.text)
    for number, block in enumerate(of_react()):
        (folder / f"react{number}.tsx").write_text(block.text)
    (folder / "node20.js").write_text(
        'import { WebSocket } from "ws";\nglobalThis.WebSocket ??= WebSocket;\n'
    )
    options = ["--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess"]
    target = ["--target", "es2022", "--module", "nodenext", "--types", "node", "--skipLibCheck"]
    sources = sorted([*folder.glob("block*.ts"), *folder.glob("react*.tsx")])
    run(modules / ".bin" / "tsc", *options, *target, "--jsx", "react-jsx", *sources, cwd=folder)
    return folder


def typescript() -> list[Block]:
    """Return the blocks in TypeScript, in their order."""
    return [block for block in BLOCKS if block.kind == "ts"]


def of_react() -> list[Block]:
    """Return the blocks with components, in their order."""
    return [block for block in BLOCKS if block.kind == "tsx"]


@pytest.fixture(scope="module")
def demo() -> Iterator[Command]:
    """A server that serves everybody."""
    with command("demo", "--port", "0") as running:
        yield running


@pytest.fixture
def server(block: Block, demo: Command) -> Iterator[Command]:
    """The server that a block speaks to: it asks for tokens where the block has some."""
    if TOKENS not in block.text:
        yield demo
        return
    environ = {"AUTH_MODE": "jwt", "AUTH_JWT_SECRET": SECRET}
    with command("demo", "--port", "0", environ=environ) as running:
        yield running


class _Issuer(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Issue a token."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(sign().encode())

    def log_message(self, *_: Any) -> None:
        """Write no log."""


@pytest.fixture
def issuer() -> Iterator[str]:
    """Somebody who issues tokens; the address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Issuer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@of_kind("ts")
def test_a_program_prints_what_it_is_for(
    block: Block, project: Path, server: Command, issuer: str
) -> None:
    """Type-checked as strictly as can be, and run by Node until its first lines are there."""
    number = typescript().index(block)
    text = (project / f"block{number}.js").read_text()
    text = text.replace(f"http://{SERVER}", server.http_url).replace(TOKENS, issuer)
    (project / f"run{number}.js").write_text(text)
    check_prints(["node", "--import", "./node20.js", f"run{number}.js"], project, lines_of(block))


@of_kind("python")
def test_a_python_program_prints_what_it_is_for(
    block: Block, tmp_path: Path, server: Command, issuer: str
) -> None:
    """Until its first lines are there."""
    text = block.text.replace(f"http://{SERVER}", server.http_url).replace(TOKENS, issuer)
    (tmp_path / "program.py").write_text(text)
    count = len(re.findall(r"\bprint\(", text))
    check_prints([sys.executable, "-u", "program.py"], tmp_path, count)


def check_prints(command: list[str], folder: Path, count: int) -> None:
    """Run a program until it has printed so many lines, none of them of an error."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    timer = threading.Timer(PATIENCE, process.kill)
    timer.start()
    assert process.stdout is not None
    with process.stdout as lines:
        # Most go on for as long as there is a market.
        printed = [line for _, line in zip(range(count), lines, strict=False)]
    process.terminate()
    process.wait(PATIENCE)
    timer.cancel()
    assert len(printed) == count, printed
    assert not any("rror" in line for line in printed), printed


def lines_of(block: Block) -> int:
    """Return how many lines a block prints at least: one for each place that prints no error."""
    return block.text.count("console.log(")


@of_kind("tsx")
def test_components_show_live_data(
    block: Block, project: Path, page: Page, site: Site, server: Command
) -> None:
    """Type-checked as strictly as can be, bundled, and rendered in a real browser."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    source = project / f"react{of_react().index(block)}.js"
    esbuild = PACKAGE / "node_modules" / ".bin" / "esbuild"
    script = run(esbuild, "--bundle", "--format=esm", source, cwd=project)
    script = script.replace(f"http://{SERVER}", server.http_url).replace("</script", "<\\/script")
    page.goto(site.serve(f'<!doctype html><body></body><script type="module">{script}</script>'))
    body = page.locator("body")
    expect(body).to_contain_text("open", timeout=PATIENCE * 1000)
    expect(body).to_contain_text(
        re.compile(r"[\d.]+ / [\d.]+, \d+ ms old"), timeout=PATIENCE * 1000
    )
    expect(body.locator("li").first).to_have_text(re.compile(r"^\d+ at [\d.]+$"))
    assert faults == []


@of_kind("html")
def test_a_page_shows_books(block: Block, page: Page, site: Site, server: Command) -> None:
    """Of another port, in a real browser, with the client that the server serves."""
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(site.serve(block.text.replace(f"http://{SERVER}", server.http_url)))
    [name] = re.findall(r'<\w+ id="(\w+)"', block.text)
    expect(page.locator(f"#{name}")).to_contain_text(re.compile(r"\w"), timeout=PATIENCE * 1000)
    assert faults == []
