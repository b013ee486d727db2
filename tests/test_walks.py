"""Walks are followed on the running server, from where they say to where they say."""

import ast

import pytest
from scripts.tracing import Move
from scripts.walks import Walk, follow, package_of, table, walk_setting

from tests.support import ROOT

pytestmark = pytest.mark.soak

SOURCE = ROOT / "src" / "bookcast"


def defined_in(file: str) -> set[str]:
    """Return the names of the functions and classes of a module."""
    nodes = ast.walk(ast.parse((SOURCE / file).read_text()))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name for node in nodes if isinstance(node, kinds)} | {"<lambda>"}


def check(walk: Walk) -> None:
    """Look whether each move leads to a function of another file, and comes from where one was."""
    reached = {walk.begins.partition(":")[0]}
    for move in walk.moves:
        caller, callee = (name.partition(":")[0] for name in (move.caller, move.callee))
        assert caller != callee
        assert caller in reached
        reached.add(callee)
        assert move.callee.rpartition(".")[2].rpartition(":")[2] in defined_in(callee)
    assert walk.ends.partition(":")[0] in reached


def test_a_published_book_is_followed_from_its_route_to_the_socket() -> None:
    """It passes the engine and the hub, in this order, and nothing else that goes on."""
    walk = follow("http")
    check(walk)
    assert walk.begins.startswith("http/routes.py:Routes.broadcast: ")
    assert walk.ends.endswith(": the write of the client's transport")
    packages = [package_of(move.callee) for move in walk.moves]
    assert packages.index("engine") < packages.index("hub")
    assert not any("check" in move.caller for move in walk.moves if "compose.py" in move.caller)
    assert 0 < walk.stored < len(walk.moves)
    assert 0 < walk.between_packages < len(walk.moves)


def test_a_subscription_is_followed_from_the_socket_to_the_feed() -> None:
    """It enters the engine on its way."""
    walk = follow("subscribe")
    check(walk)
    assert ".data_received: " in walk.begins
    assert walk.ends.startswith("feeds/")
    assert walk.ends.endswith(".want: Feed.want")
    assert walk.entries


def test_a_setting_is_followed_to_where_the_hub_decides_by_it() -> None:
    """Whatever it is called on the way."""
    walk = walk_setting()
    assert walk.moves[0].caller == walk.begins == "settings/schema.py:Settings.session_queue"
    assert any(package_of(move.callee) == "hub" for move in walk.moves)
    assert walk.ends.startswith("hub/")


def test_the_table_has_a_line_for_each_walk() -> None:
    """With its counts; those that a setting doesn't have are left out."""
    moves = [
        Move("http/a.py:f", "engine/b.py:B.g", stored=True, owner="bookcast.engine.b"),
        Move("engine/b.py:B.g", "engine/c.py:h", stored=False),
    ]
    walks = [Walk("one", moves, "", ""), Walk("two", moves, "", "", is_read=True)]
    lines = table(walks).splitlines()
    assert lines[2:] == ["| one | 2 | 1 | 1 | 2 | 1 |", "| two | 2 | 1 |  | 2 |  |"]
