"""The tree keeps its own rules."""

import ast
import re
import subprocess

import pytest

from tests.support import ROOT

SOURCE, TESTS = ROOT / "src" / "bookcast", ROOT / "tests"

# Declarations that the tests of their users cover.
NO_TESTS_OF_THEIR_OWN = {
    "__main__",
    "data",
    "backend/base",
    "backplane/base",
    "cluster/base",
    "cluster/demand/base",
    "cluster/election/base",
    "cluster/feed_status/base",
    "cluster/members/base",
    "engine/base",
    "feeds/base",
    "sessions/base",
    "sessions/store/base",
    "http/schemas",
    "protocol/actions",
    "protocol/shapes",
    "vendor_forms/rows",
    "version",
}


def modules() -> list[str]:
    """Name every module, as a path without its ending."""
    return sorted(
        str(path.relative_to(SOURCE).with_suffix(""))
        for path in SOURCE.rglob("*.py")
        if path.name != "__init__.py"
    )


@pytest.mark.parametrize("module", [m for m in modules() if m not in NO_TESTS_OF_THEIR_OWN])
def test_every_module_has_its_tests(module: str) -> None:
    """Under the same name, in the same folder of tests."""
    folder, _, name = module.rpartition("/")
    assert (TESTS / folder / f"test_{name}.py").is_file()


def test_every_module_stands_in_the_architecture() -> None:
    """The table of duties leaves none out."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`([a-z0-9_/]+)`", text))
    missing = [m for m in modules() if m not in named and m not in {"__main__", "version"}]
    assert missing == []


def test_every_test_says_in_a_sentence_what_holds() -> None:
    """A docstring each."""
    silent = []
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
                "test_"
            ):
                docstring = ast.get_docstring(node)
                if not docstring or not docstring.rstrip().endswith("."):
                    silent.append(f"{path.name}:{node.name}")
    assert silent == []


def test_no_file_names_a_package_registry() -> None:
    """Locks hold hashes and no addresses, so that any mirror will do."""
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "uv.lock" not in tracked
    for name in tracked:
        if name.endswith((".lock", "package-lock.json", ".npmrc")):
            text = (ROOT / name).read_text()
            assert not re.search(r"index-url|find-links|\"resolved\": *\"http|registry *=", text)
            if name.endswith(".lock"):
                assert "://" not in text
