"""Tests are marked by what their code needs."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import support
from tests.fakes.opend import Controller
from tests.fakes.redis_server import RedisServer
from tests.markers import MARKERS, needs
from tests.support import ROOT, command


def plain() -> None:
    """Look at what a process left."""
    with suppress(subprocess.TimeoutExpired):
        support.line(b"", False)


def runs() -> None:
    subprocess.run(["true"], check=True)


def runs_within() -> Callable[[], None]:
    def inner() -> None:
        subprocess.Popen(["true"])

    return inner


async def runs_on_the_loop() -> None:
    await asyncio.create_subprocess_exec("true")


def runs_by_a_helper() -> None:
    with command("serve"):
        pass


def runs_by_a_module() -> None:
    support.run("config")


def imports_by_itself() -> None:
    from tests.support import run

    run("config")


def makes_an_opend() -> None:
    Controller().close()


@contextmanager
def a_redis(folder: Path) -> Iterator[RedisServer]:
    with RedisServer(folder) as server:
        yield server


def uses_a_redis() -> None:
    with a_redis(Path()):
        pass


def asks_for_a_fixture(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("redis_url")


TABLE = {"one": [plain], "other": [runs]}


def uses_a_table() -> None:
    for function in TABLE["other"]:
        function()


async def runs_a_server() -> None:
    async with support.nodes("", 1):
        pass


class InAClass:
    def method(self) -> None:
        uses_a_redis()


def uses_a_class() -> None:
    InAClass().method()


def opens_a_browser() -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright():
        pass


@given(st.integers())
def draws(_number: int) -> None:
    runs_by_a_helper()


@pytest.mark.parametrize(
    ("function", "markers"),
    [
        (plain, set()),
        (runs, {"process"}),
        (runs_within, {"process"}),
        (runs_on_the_loop, {"process"}),
        (runs_by_a_helper, {"process"}),
        (runs_by_a_module, {"process"}),
        (imports_by_itself, {"process"}),
        (makes_an_opend, {"process"}),
        (uses_a_table, {"process"}),
        (runs_a_server, {"socket"}),
        (uses_a_redis, {"redis"}),
        (asks_for_a_fixture, {"redis"}),
        (uses_a_class, {"redis"}),
        (InAClass().method, {"redis"}),
        (opens_a_browser, {"browser"}),
        (draws, {"process"}),
    ],
)
def test_what_a_function_needs_is_found(function: Callable[..., Any], markers: set[str]) -> None:
    """Directly, through helpers, classes, imports of its own, and Hypothesis."""
    assert needs(function) == markers


def marked(request: pytest.FixtureRequest) -> set[str]:
    """Return the markers of the test that runs."""
    return {one.name for one in request.node.iter_markers()} & set(MARKERS)


def test_a_test_with_the_fixture_of_redis_is_marked(
    redis_url: str, request: pytest.FixtureRequest
) -> None:
    """By the fixture alone."""
    assert redis_url
    assert marked(request) == {"redis"}


@pytest.fixture(params=["memory", "redis"])
def twin(request: pytest.FixtureRequest) -> str:
    if request.param == "redis":
        request.getfixturevalue("redis_url")
    return str(request.param)


def test_the_twin_in_memory_needs_no_redis(twin: str, request: pytest.FixtureRequest) -> None:
    """Of a suite that runs on both."""
    assert marked(request) == ({"redis"} if twin == "redis" else set())


def test_a_test_with_nothing_of_it_is_not_marked(request: pytest.FixtureRequest) -> None:
    """It is what ``make quick`` runs."""
    assert marked(request) == set()


@pytest.mark.no_cover
def test_a_long_test_is_marked(request: pytest.FixtureRequest) -> None:
    """What coverage leaves out, since it runs the same lines thousands of times."""
    assert marked(request) == {"soak"}


HIDDEN = '''
def test_hidden():
    """A process that no name betrays."""
    start = getattr(__import__("sub" + "process"), "r" + "un")
    start(["true"], check=True)
'''


def test_a_process_without_the_marker_fails_the_test(tmp_path: Path) -> None:
    """Where the code doesn't show what it does; with the marker it passes."""
    (tmp_path / "conftest.py").write_text("from tests.markers import *\n")
    (tmp_path / "test_hidden.py").write_text(HIDDEN)
    (tmp_path / "test_marked.py").write_text(
        f"import pytest\npytestmark = pytest.mark.process\n{HIDDEN}"
    )
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:schemathesis", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 1 passed" in result.stdout, result.stdout + result.stderr
    assert "give it pytest.mark.process" in result.stdout


def test_quick_leaves_out_each_marker() -> None:
    """And nothing else."""
    recipe = (ROOT / "Makefile").read_text().partition("\nquick:")[2].partition("\n\n")[0]
    assert f'-m "{" and ".join(f"not {name}" for name in MARKERS)}"' in recipe
