"""The wheel, installed away from the source tree."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.support import PATIENCE, ROOT, command


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Build the wheel and install it into a folder of its own."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=PATIENCE * 3,
    )
    [wheel] = tmp_path.glob("*.whl")
    target = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def test_an_installed_wheel_serves_the_demo_and_its_page_without_node(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything comes with the wheel."""
    monkeypatch.chdir(installed)
    environ = {"PYTHONPATH": str(installed), "PATH": os.path.dirname(sys.executable)}  # noqa: PTH120
    with command("demo", "--port", "0", environ=environ) as served:
        page = httpx.get(served.http_url + "/", trust_env=False)
        assert page.status_code == 200
        assert "<title>" in page.text
        script = page.text.partition('src="')[2].partition('"')[0]
        assert httpx.get(f"{served.http_url}/{script}", trust_env=False).status_code == 200
        symbols = httpx.get(served.http_url + "/symbols", trust_env=False).json()["symbols"]
        assert symbols[0] == {"symbol": "US.AAPL"}
        where = subprocess.run(
            [sys.executable, "-c", "import bookcast; print(bookcast.__file__)"],
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert str(installed) in where
        assert served.end(signal.SIGTERM)[0] == 0
    assert (installed / "bookcast" / "py.typed").is_file()
    assert any(path.name == "LICENSE" for path in installed.rglob("LICENSE"))
