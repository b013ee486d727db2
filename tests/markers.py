"""Marks each test by what it needs, as its code says: see ``MARKERS``.

The code of a test, of its fixtures, and of all that these use in ``tests`` is looked through for
signs of a Redis, another process or a browser. So nobody has to remember a marker. What escapes
that fails when it runs: a test without the marker may not start a process.
"""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import pytest

MARKERS = {
    "redis": "needs a redis-server",
    "process": "starts another program: a server, a fake OpenD, nginx, node",
    "browser": "needs Chromium",
    "soak": "runs the same lines thousands of times, or for long",
}

FOLDERS = {"fuzz": "soak", "history": "soak", "e2e": "process"}
"""All tests in these have a marker, so they needn't be read where it is left out."""

_started: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and watch for processes."""
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    begin = subprocess.Popen.__init__

    @functools.wraps(begin)
    def watched(self: Any, *args: Any, **more: Any) -> None:
        _started.append(repr(args[0] if args else more.get("args")))
        begin(self, *args, **more)

    if not hasattr(begin, "__wrapped__"):
        subprocess.Popen.__init__ = watched  # type: ignore[method-assign] # for the whole run


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out a folder whose marker is left out: importing its tests takes long."""
    marker = FOLDERS.get(collection_path.name) if collection_path.parent.name == "tests" else None
    return True if marker and f"not {marker}" in config.option.markexpr else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what was collected."""
    for item in items:
        for name in sorted(markers_of(item)):
            item.add_marker(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that has started a process without a word."""
    _started.clear()
    result = yield
    if _started and not {"redis", "process", "browser"} & {one.name for one in item.iter_markers()}:
        pytest.fail(f"starts {_started[0]}: give it pytest.mark.process", pytrace=False)
    return result


def markers_of(item: pytest.Item) -> set[str]:
    """Return the markers that a test's place, its code and its fixtures' code ask for."""
    found = {"soak"} if item.get_closest_marker("no_cover") else set()
    found |= {marker for folder, marker in FOLDERS.items() if folder in Path(item.path).parts}
    if isinstance(item, pytest.Function):
        found |= needs(item.function)
        info: Any = item._fixtureinfo
        for definitions in info.name2fixturedefs.values():
            for definition in definitions:
                found |= needs(definition.func)
    return found


def needs(function: Callable[..., Any]) -> frozenset[str]:
    """Return the markers for what a function uses, directly or through others in ``tests``."""
    inner = getattr(function, "__func__", function)
    while (wrapped := getattr(inner, "__wrapped__", None)) is not None:
        inner = wrapped
    # Hypothesis keeps the function that a test was made of.
    inner = getattr(getattr(inner, "hypothesis", None), "inner_test", inner)
    return _needs(inner)


@functools.cache
def _needs(first: Any) -> frozenset[str]:
    found: set[str] = set()
    seen: set[int] = set()
    waiting = [first]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        sign = _sign(one)
        if sign is not None:
            found.add(sign)
        elif _is_ours(one):
            waiting += _used_by(one)
    return frozenset(found)


def _sign(one: Any) -> str | None:
    """Return the marker that something stands for."""
    name = one.__name__ if isinstance(one, ModuleType) else getattr(one, "__module__", None)
    if name == "tests.fakes.redis_server" and getattr(one, "__name__", "") == "RedisServer":
        return "redis"
    if name == "subprocess" or one in (
        asyncio.create_subprocess_exec,
        asyncio.create_subprocess_shell,
    ):
        # What is only a name or an exception of that module starts nothing.
        is_error = isinstance(one, type) and issubclass(one, BaseException)
        return None if is_error else "process"
    if isinstance(name, str) and name.split(".")[0] == "playwright":
        return "browser"
    return None


def _is_ours(one: Any) -> bool:
    """Return whether it is code of the tests."""
    name = one.__name__ if isinstance(one, ModuleType) else getattr(one, "__module__", None)
    is_code = isinstance(one, FunctionType | MethodType | type | functools.partial)
    return (is_code or hasattr(one, "__wrapped__")) and str(name).split(".")[0] in {
        "tests",
        "scripts",
        "functools",
        "conftest",
    }


def _used_by(one: Any) -> Iterator[Any]:
    """Return what a function or class refers to."""
    if isinstance(one, functools.partial):
        yield one.func
    elif isinstance(one, type):
        yield from one.__bases__
        for value in vars(one).values():
            yield getattr(value, "__func__", getattr(value, "fget", value))
    elif isinstance(one, MethodType):
        yield one.__func__
    elif not isinstance(one, FunctionType):
        yield one.__wrapped__
    else:
        if (wrapped := getattr(one, "__wrapped__", None)) is not None:
            yield wrapped
        for cell in one.__closure__ or ():
            try:
                yield cell.cell_contents
            except ValueError:  # it has no value yet
                continue
        for code in _codes(one.__code__):
            yield from _named(code, one.__globals__)


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _named(code: CodeType, known: dict[str, Any]) -> Iterator[Any]:
    """Return the objects that code names: globals, imports of its own, attributes of modules."""
    named = [known[name] for name in code.co_names if name in known]
    for name in code.co_names:
        if name.startswith("playwright."):  # it may not be imported yet
            yield ModuleType(name)
        elif name in sys.modules:
            named.append(sys.modules[name])
    for one in named:
        if not isinstance(one, ModuleType):
            yield one
        elif one is subprocess:
            # An annotation or an exception of it starts nothing.
            if {"run", "Popen", "check_output", "check_call"} & set(code.co_names):
                yield one
        elif one.__name__.split(".")[0] in {"tests", "scripts", "asyncio"}:
            values = [getattr(one, name) for name in code.co_names if hasattr(one, name)]
            yield from (value for value in values if not isinstance(value, ModuleType))
