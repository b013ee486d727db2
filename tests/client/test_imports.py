"""Which modules an import of the client loads. What that costs: benchmarks/imports.py."""

import json
import subprocess
import sys

import pytest

import bookcast
from tests.support import PATIENCE

SERVER = {"uvicorn", "starlette", "redis", "prometheus_client", "httptools", "uvloop", "structlog"}
SHARED = {"allowed_words", "errors", "ingest", "model", "protocol", "version"}
LIST = "import json, sys; {}; print(json.dumps(sorted(sys.modules)))"


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
    parts = {name.split(".")[1] for name in modules if name.startswith("bookcast.")}
    assert parts <= SHARED | {"client"}


def test_every_public_name_is_there_when_it_is_used() -> None:
    """And no other; completion knows them."""
    for name in bookcast.__all__:
        assert getattr(bookcast, name) is not None
    assert set(bookcast.__all__) <= set(dir(bookcast))
    with pytest.raises(AttributeError, match="'bookcast' has no attribute 'sever'"):
        bookcast.sever  # noqa: B018 - that is what is tested
