"""What importing the client brings with it, and what that costs."""

import json
import subprocess
import sys

import pytest

import bookcast
from tests.support import PATIENCE, ROOT

SERVER = {"uvicorn", "starlette", "redis", "prometheus_client", "httptools", "uvloop", "structlog"}
LIST = "import json, sys; {}; print(json.dumps(sorted(sys.modules)))"
BUDGET = 1.3


def run(*arguments: str) -> str:
    """Run Python, and return what it prints."""
    command = [sys.executable, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    return result.stdout


@pytest.mark.parametrize(
    "statement",
    [
        "import bookcast.client",
        "import bookcast; bookcast.client.connect()",
        "import bookcast; bookcast.snapshot, bookcast.checksum",
        "from bookcast import client, BookData, BookcastError, __version__",
    ],
)
def test_the_client_brings_nothing_of_the_server(statement: str) -> None:
    """Only the v1 messages, and the values that they are made of."""
    modules = set(json.loads(run("-c", LIST.format(statement))))
    assert modules & SERVER == set()
    assert modules & {"bookcast.server", "bookcast.compose", "bookcast.hub.hub"} == set()


def test_every_public_name_is_there_when_it_is_used() -> None:
    """And no other; completion knows them."""
    for name in bookcast.__all__:
        assert getattr(bookcast, name) is not None
    assert set(bookcast.__all__) <= set(dir(bookcast))
    with pytest.raises(AttributeError, match="'bookcast' has no attribute 'sever'"):
        bookcast.sever  # noqa: B018 - that is what is tested


def test_its_import_takes_little_more_than_what_it_stands_on() -> None:
    """Measured in CPU time; a machine that is busy may need a second look."""
    ratios = []
    for _ in range(3):
        ratios.append(float(run(str(ROOT / "benchmarks" / "imports.py")).split()[2]))
        if ratios[-1] <= BUDGET:
            return
    raise AssertionError(ratios)
