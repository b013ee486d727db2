import subprocess
import sys
from pathlib import Path

import httpx

from bookcast.testing import ServerThread
from tests.support import PATIENCE


def test_the_fixture_serves_and_publishes(bookcast_server: ServerThread) -> None:
    """In any kind of test, also one without an event loop."""
    published = bookcast_server.publish("AAPL", {"bids": [[1, 2]], "asks": []})
    assert published.seq == 1
    answer = httpx.get(bookcast_server.http_url + "/books/AAPL", trust_env=False)
    assert answer.json()["data"] == {"bids": [[1, 2]], "asks": []}
    assert bookcast_server.ws_url.startswith("ws://127.0.0.1:")


def test_the_fixture_comes_with_the_package(tmp_path: Path) -> None:
    """A foreign project's test only has to ask for it."""
    (tmp_path / "test_foreign.py").write_text(
        "def test_it(bookcast_server):\n"
        "    assert bookcast_server.publish('AAPL', {'bids': [], 'asks': []}).seq == 1\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE * 5,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout
