"""The steps of docs/feeds.md, performed on a copy."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.fakes.redis_server import free_port
from tests.support import PATIENCE, ROOT, missing

DOCUMENT = (ROOT / "docs" / "feeds.md").read_text()


def steps() -> list[str]:
    """Return the commands of the numbered list, in order."""
    listed = DOCUMENT.partition("\n## Steps\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", listed, re.DOTALL)
    return ["\n".join(line.strip() for line in block.splitlines()) for block in blocks]


def test_the_steps_lead_from_the_template_to_a_book(tmp_path: Path) -> None:
    """Copied, tested, started beside its source, and read, by the commands that the list shows."""
    if shutil.which("curl") is None:
        missing("no curl on the PATH")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("python", "bookcast"):
        # A link would be taken for a Python without packages.
        program = tmp_path / ".venv" / "bin" / name
        program.write_text(f'#!/bin/sh\nexec "{Path(sys.executable).parent / name}" "$@"\n')
        program.chmod(0o755)
    ports = {"9009": free_port(), "8002": free_port()}
    copy, test, start, read = steps()
    for written, port in ports.items():
        start, read = (text.replace(written, str(port)) for text in (start, read))
    environ = {**os.environ, "WEBSOCKET_PORT": str(ports["8002"])}
    assert _performed(copy, tmp_path, environ) == ""
    assert re.search(r"^=+ \d+ passed", _performed(test, tmp_path, environ), re.MULTILINE)
    log = tmp_path / "log"
    with log.open("w") as stream:
        started = subprocess.Popen(
            ["bash", "-euc", f"{start}\nwait"],
            cwd=tmp_path,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_ready(f"http://127.0.0.1:{ports['8002']}", log)
        command = read.replace("curl ", "curl --silent --noproxy '*' ", 1)
        book = json.loads(_performed(command, tmp_path, environ))
        assert book["symbol"] == "AAPL", book
        assert book["data"]["bids"][0]["price"] == 99.5
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGTERM)
        started.wait(PATIENCE)


def _performed(command: str, folder: Path, environ: dict[str, str]) -> str:
    """Perform a step, and return what it prints."""
    result = subprocess.run(
        ["bash", "-euc", command],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * PATIENCE,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def _wait_until_ready(url: str, log: Path) -> None:
    deadline = time.monotonic() + 2 * PATIENCE
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/readyz", trust_env=False).status_code == 200:
                return
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_the_table_of_promises_is_that_of_the_class() -> None:
    """Every method that a feed may have stands in it."""
    from bookcast.feeds.base import Feed

    table = DOCUMENT.partition("\n## What a feed promises\n")[2]
    rows = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)\(", row)}
    public = {name for name, one in vars(Feed).items() if callable(one) and name[0] != "_"}
    assert named == public | {"make_feed"}


@pytest.mark.parametrize("options", ["prot=1", "port=many"])
def test_an_option_that_is_wrong_ends_the_start_with_a_sentence(
    options: str, tmp_path: Path
) -> None:
    """Exit code 2, and no traceback."""
    shutil.copytree(ROOT / "examples" / "feed_template", tmp_path / "my_feed")
    command = ["serve", "--feed", "custom", "--feed-factory", "my_feed.feed:make_feed"]
    result = subprocess.run(
        [sys.executable, "-m", "bookcast", *command, "--port", "0", "--feed-options", options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=2 * PATIENCE,
    )
    assert result.returncode == 2
    assert f"FEED_OPTIONS (from the flag --feed-options) is '{options}'" in result.stderr
    assert "Traceback" not in result.stderr
