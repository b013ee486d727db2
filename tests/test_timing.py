import ast
import re
from typing import ClassVar

import pytest

from bookcast.timing import Times, milliseconds
from tests.support import ROOT


class LockTimes(Times, frozen=True, kw_only=True):
    """A lock and its renewal."""

    LONGER: ClassVar = (("lock", 2, "renewal"),)

    lock: float = 1.5
    renewal: float = 0.4


def test_intervals_that_go_together_are_taken() -> None:
    """As they are given."""
    assert LockTimes(lock=1.0).lock == 1.0
    assert LockTimes(lock=float("inf")).renewal == 0.4


@pytest.mark.parametrize("lock", [0.8, 0.5, float("nan")])
def test_a_relation_that_doesnt_hold_is_refused(lock: float) -> None:
    """The message names both intervals; as long as the limit isn't longer."""
    with pytest.raises(ValueError, match="LockTimes: lock") as caught:
        LockTimes(lock=lock, renewal=0.4)
    if lock == lock:  # noqa: PLR0124 - it may be no number
        assert str(caught.value).endswith("must be longer than 2 times renewal (0.4 s)")


@pytest.mark.parametrize("renewal", [0.0, -1.0])
def test_no_interval_is_nothing(renewal: float) -> None:
    """Or less."""
    with pytest.raises(ValueError, match="LockTimes: renewal must be positive"):
        LockTimes(renewal=renewal)


def test_redis_takes_milliseconds() -> None:
    """Whole ones."""
    assert milliseconds(1.5) == 1500
    assert milliseconds(0.0304) == 30


INTERVAL = re.compile(r"(?:.*\.)?[A-Z0-9_]+_(?:SECONDS|MS)")
PATCHES = {"setattr", "patch", "object", "multiple"}
"""What sets something in a module: of ``monkeypatch``, ``mock`` and Python itself."""


def patched_intervals(source: str) -> list[str]:
    """List the intervals of other modules that code sets, by a patch or an assignment."""
    names: list[object] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.append(node.attr)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in PATCHES:
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            names += [one.value for one in given if isinstance(one, ast.Constant)]
            names += [keyword.arg for keyword in node.keywords]
    return [name for name in names if isinstance(name, str) and INTERVAL.fullmatch(name)]


@pytest.mark.parametrize(
    "code",
    [
        'monkeypatch.setattr(server, "HEAD_SECONDS", 0.1)',
        'monkeypatch.setattr("bookcast.http.server.HEAD_SECONDS", 0.1)',
        'patch.setattr(\n    server,\n    "HEAD_SECONDS",\n    0.1,\n)',
        'monkeypatch.setattr(target=server, name="_HEAD_MS", value=1)',
        'with mock.patch.object(server, "HEAD_SECONDS", 1):\n    pass',
        '@mock.patch("bookcast.http.server.HEAD_MS", 1)\ndef test(): pass',
        "mock.patch.multiple(server, HEAD_SECONDS=1)",
        'setattr(server, "HEAD_SECONDS", 1)',
        "server.HEAD_SECONDS = 0.1",
    ],
)
def test_a_patched_interval_is_found(code: str) -> None:
    """However it is written."""
    assert len(patched_intervals(code)) == 1


@pytest.mark.parametrize(
    "code",
    [
        'monkeypatch.setenv("BATCH_MS", "2")',
        'monkeypatch.setattr(limits, "MAX_BUCKETS", 20)',
        "HEAD_SECONDS = 0.1",
        "now = server.HEAD_SECONDS",
        'settings["BATCH_MS"] = "2"',
    ],
)
def test_settings_and_own_names_are_no_patched_intervals(code: str) -> None:
    """Nor are other constants."""
    assert patched_intervals(code) == []


def test_no_test_patches_an_interval() -> None:
    """Whoever needs others passes a class of Times, which knows what goes together."""
    found = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "tests").rglob("*.py")
        if re.search(r"_(SECONDS|MS)\b", source := path.read_text())
        for name in patched_intervals(source)
    }
    assert found == set()
