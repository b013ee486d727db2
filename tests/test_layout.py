"""The tree keeps its own rules."""

import ast
import re
import subprocess
from pathlib import Path

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


def test_every_module_of_the_client_stands_in_the_architecture() -> None:
    """In the table of its own, and no other does."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    section = text.partition("\n## The TypeScript client\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([\w/]+)`", row)}
    source = ROOT / "clients" / "typescript" / "src"
    assert named == {
        str(path.relative_to(source).with_suffix("")) for path in source.rglob("*.ts")
    }


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


def tracked() -> list[str]:
    """Name the files that git knows."""
    return subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()


def test_no_file_names_a_package_registry() -> None:
    """Locks hold hashes and no addresses, so that any mirror will do."""
    names = tracked()
    assert "uv.lock" not in names
    for name in names:
        if name.endswith((".lock", "package-lock.json", ".npmrc")):
            text = (ROOT / name).read_text()
            assert not re.search(r"index-url|find-links|\"resolved\": *\"http|registry *=", text)
            if name.endswith(".lock"):
                assert "://" not in text


def test_make_knows_every_package_of_npm() -> None:
    """It installs what the lock says, lints it, and runs its tests."""
    packages = [path.parent for path in map(Path, tracked()) if path.name == "package-lock.json"]
    assert sorted(map(str, packages)) == ["clients/typescript", "web"]
    # With nothing there that was made before.
    command = ["make", "--dry-run", "--always-make", "--no-print-directory", "test"]
    steps = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for package in packages:
        for step in ("ci", "run --silent lint", "run --silent build", "test"):
            assert f"npm --prefix {package} {step}" in steps


def test_locks_of_npm_hold_no_addresses() -> None:
    """And npm is told to keep it so, beside each."""
    for name in tracked():
        if name.endswith("package-lock.json"):
            assert '"resolved"' not in (ROOT / name).read_text()
            options = (ROOT / name).with_name(".npmrc").read_text()
            assert "omit-lockfile-registry-resolved=true" in options
