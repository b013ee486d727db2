"""The wheel, installed into an environment of its own."""

import signal
import site
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import httpx
import pytest

from tests.support import PATIENCE, ROOT, command


def run(*arguments: str | Path, cwd: Path = ROOT) -> str:
    return subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        check=True,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 5,
    ).stdout


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Build the wheel and install it, with dependencies lent by the environment of the tests."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path)
    [wheel] = tmp_path.glob("*.whl")
    environment = tmp_path / "installed"
    venv.create(environment, with_pip=False)
    [packages] = environment.glob("lib/python3*/site-packages")
    (packages / "lent.pth").write_text("\n".join(site.getsitepackages()))
    python = environment / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel)
    run(sys.executable, "-m", "pip", "--python", python, "check")
    return environment


def test_an_installed_wheel_serves_the_demo_and_its_page_without_node(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything comes with the wheel, and its command is there."""
    monkeypatch.chdir(installed)
    where = run(installed / "bin" / "python", "-c", "import bookcast; print(bookcast.__file__)")
    assert str(installed) in where
    environ = {"PATH": str(installed / "bin")}
    prefix = (str(installed / "bin" / "bookcast"),)
    with command("demo", "--port", "0", environ=environ, prefix=prefix) as served:
        page = httpx.get(served.http_url + "/", trust_env=False)
        assert page.status_code == 200
        assert "<title>" in page.text
        script = page.text.partition('src="')[2].partition('"')[0]
        assert httpx.get(f"{served.http_url}/{script}", trust_env=False).status_code == 200
        client = httpx.get(f"{served.http_url}/client.js", trust_env=False)
        assert "WebSocketClient" in client.text
        symbols = httpx.get(served.http_url + "/symbols", trust_env=False).json()["symbols"]
        assert symbols[0] == {"symbol": "US.AAPL"}
        assert served.end(signal.SIGTERM)[0] == 0
    [package] = Path(installed).glob("lib/python3*/site-packages/bookcast")
    assert (package / "py.typed").is_file()
    assert list((package / "web" / "assets").iterdir())


def test_the_source_archive_has_what_was_built_and_its_sources(tmp_path: Path) -> None:
    """A wheel can be made of it without Node, and rebuilt with Node."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path)
    [archive] = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {
        "src/bookcast/script/client.js",
        "src/bookcast/web/index.html",
        "clients/typescript/package-lock.json",
        "clients/typescript/src/index.ts",
    } <= names
    assert not any("node_modules" in name or "typescript/dist" in name for name in names)
