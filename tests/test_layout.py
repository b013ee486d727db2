"""Rules that the source tree keeps."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support import ROOT

SOURCE, TESTS = ROOT / "src" / "bookcast", ROOT / "tests"

# Declarations that the tests of their users cover.
NO_TESTS_OF_THEIR_OWN = {
    "__main__",
    "backend/base",
    "backplane/base",
    "cluster/base",
    "cluster/demand/base",
    "cluster/election/base",
    "cluster/feed_status/base",
    "cluster/members/base",
    "engine/base",
    "feeds/base",
    "http/schemas",
    "hub/view_spec",
    "ingest/input_types",
    "ingest/futu_api/rows",
    "ingest/schemas",
    "model/feed_state",
    "protocol/actions",
    "protocol/names",
    "sessions/base",
    "sessions/shared_parts",
    "sessions/store/base",
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


ARCHITECTURE = ROOT / "docs" / "architecture.md"


def section(title: str) -> str:
    """Return what stands under a heading of the architecture."""
    return ARCHITECTURE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_module_stands_in_the_architecture() -> None:
    """The tables of duties leave none out, and name none that isn't there."""
    rows = re.findall(r"^\| (`.*?`) \|", section("Where each module stands"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert set(modules()) - named == {"__main__", "version"}
    assert named - set(modules()) == {"backplane/lua/*.lua"}


def test_the_first_page_of_the_architecture_names_what_there_is() -> None:
    """Each module, and in it the class, function or method that stands beside its name."""
    page = section("One page to hold in mind")
    found = re.findall(r"`([a-z0-9_/]+/[a-z0-9_]+)`(?:,\s`([\w.]+)`)?", page)
    named = {(module, name) for module, name in found if module in modules()}
    assert len(named) > 15
    for module, name in named:
        defined = definitions(SOURCE / f"{module}.py")
        assert not name or name in defined, f"{module}: {name}"
    methods = set(re.findall(r"`([A-Z]\w+)\.\w+`", page))
    files = [path for path in SOURCE.rglob("*.py") if holds_a_class(path, methods)]
    every = {name for path in files for name in definitions(path)}
    assert set(re.findall(r"`([A-Z]\w+\.\w+)`", page)) - every == set()


def holds_a_class(path: Path, names: set[str]) -> bool:
    """Return whether a file defines a class of one of these names."""
    return not names.isdisjoint(re.findall(r"^class (\w+)", path.read_text(), re.MULTILINE))


def definitions(path: Path) -> set[str]:
    """Return the names of a module's classes and functions, methods as Class.method."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (ast.FunctionDef, ast.AsyncFunctionDef)
            found |= {f"{node.name}.{one.name}" for one in node.body if isinstance(one, methods)}
    return found


def test_every_decision_has_a_page() -> None:
    """Numbered without holes, with context, decision and consequences, and listed in the index."""
    folder = ROOT / "docs" / "decisions"
    pages = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    index = re.findall(
        r"^(\d+)\. \[(.+)\]\((.+)\)$", (folder / "README.md").read_text(), re.MULTILINE
    )
    listed = []
    for number, path in enumerate(pages, 1):
        text = path.read_text()
        title = text.partition("\n")[0].removeprefix(f"# {number}. ")
        assert path.name.startswith(f"{number:04}-")
        assert re.findall("^## (.+)$", text, re.MULTILINE) == [
            "Context",
            "Decision",
            "Consequences",
        ]
        assert len(text.splitlines()) <= 60, f"{path.name} is longer than a page"
        for name in re.findall(r"`(\w+(?:/\w+)+)`", text):
            places = (SOURCE / name, SOURCE / f"{name}.py", ROOT / name)
            assert any(place.exists() for place in places), f"{path.name}: {name}"
        listed.append((str(number), title, path.name))
    assert pages
    assert index == listed


def test_every_module_of_the_client_stands_in_the_architecture() -> None:
    """In the table of its own, and no other does."""
    rows = re.findall(r"^\| (`.*?`) \|", section("The TypeScript client"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([\w/]+)`", row)}
    source = ROOT / "clients" / "typescript" / "src"
    assert named == {str(path.relative_to(source).with_suffix("")) for path in source.rglob("*.ts")}


@pytest.mark.soak
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


def test_hooks_use_the_tools_of_the_tree() -> None:
    """Nothing is downloaded, and each command is there."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    assert [repo["repo"] for repo in hooks["repos"]] == ["local"]
    makefile = (ROOT / "Makefile").read_text()
    for hook in hooks["repos"][0]["hooks"]:
        program, *words = hook["entry"].split()
        assert hook["language"] == "system"
        if program == "make":
            assert f"\n{words[0]}:" in makefile
        else:
            folder, name = program.rsplit("/", 1)
            assert folder == ".venv/bin"
            assert (Path(sys.executable).parent / name).exists()


@pytest.mark.parametrize("name", ["bug", "data", "feature"])
def test_an_issue_form_asks_for_what_helps(name: str) -> None:
    """It is one that GitHub can read, and some of it is required."""
    form = yaml.safe_load((ROOT / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text())
    assert {"name", "description", "body"} <= set(form)
    fields = form["body"]
    assert len({field["id"] for field in fields}) == len(fields)
    for field in fields:
        assert field["type"] in {"input", "textarea", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]
    assert any(field.get("validations", {}).get("required") for field in fields)
