"""Follows the value of a setting through the source: which names carry it, and where it is passed.

A value is passed on by a name or an attribute that carries it, or by a comparison of it or an
``and``, ``or`` or ``not`` with it, which is

* assigned to a name, an attribute or a field, or
* an argument of a call, by keyword or by position. Then the parameter carries it.

The first carrier is the setting's name. A name carries the value in its module. So does a private
attribute; other attributes carry it in all modules. The result of a call, or of a choice by the
value (``if``, ``while``, ``x if y else z``), doesn't carry it. A choice counts as a decision.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from scripts.tracing import SOURCE

START: Final = "settings/schema.py"

Function = ast.FunctionDef | ast.AsyncFunctionDef
SAYING: Final = (
    *(ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Call, ast.Attribute),
    *(ast.Assign, ast.AnnAssign, ast.If, ast.IfExp, ast.While),
)
"""The kinds of nodes that define names, or pass or read values."""


@dataclass
class Passing:
    """The ways of a value.

    ``moves``: from a function to a function in another file, the readers of the field first.
    ``decisions``: the functions that decide by the value.
    """

    start: str
    moves: list[tuple[str, str]] = field(default_factory=list)
    decisions: dict[str, None] = field(default_factory=dict)

    def note(self, origin: str, target: str) -> None:
        """Note a move, once."""
        if (origin, target) not in self.moves:
            self.moves.append((origin, target))


@dataclass(frozen=True)
class Definition:
    """A function or class: its file, its name, and its parameters in order."""

    file: str
    name: str
    parameters: tuple[str, ...]
    is_class: bool


@dataclass(frozen=True)
class Place:
    """A node of the source, with its file and its function."""

    file: str
    function: str
    node: ast.AST


class Source:
    """The nodes of the server's modules, and the definitions of its functions and classes."""

    def __init__(self, root: Path) -> None:
        self.places: dict[str, list[Place]] = {}
        for path in sorted(root.rglob("*.py")):
            file = str(path.relative_to(root))
            self.places[file] = list(_places(file, ast.parse(path.read_text()), ""))
        self.definitions: dict[str, list[Definition]] = {}
        for place in self.all():
            if isinstance(node := place.node, ast.ClassDef | Function):
                found = Definition(
                    place.file, node.name, _parameters(node), isinstance(node, ast.ClassDef)
                )
                self.definitions.setdefault(node.name, []).append(found)

    def all(self) -> Iterator[Place]:
        """Yield the nodes of all modules."""
        return itertools.chain.from_iterable(self.places.values())


def _places(file: str, node: ast.AST, inside: str) -> Iterator[Place]:
    for child in ast.iter_child_nodes(node):
        name = inside
        if isinstance(child, ast.ClassDef | Function):
            name = f"{inside}.{child.name}" if inside else child.name
        if isinstance(child, SAYING):
            yield Place(file, f"{file}:{name}", child)
        yield from _places(file, child, name)


def passing_of(setting: str) -> Passing:
    """Return the ways of a setting's value, from its field in the schema."""
    source = Source(Path(SOURCE))
    passing = Passing(f"{START}:Settings.{setting}")
    carriers = {("", f".{setting}")}
    for place in source.all():
        if place.file != START and _name(place.node) == f".{setting}":
            passing.note(passing.start, place.function)
    known: set[tuple[str, str]] = set()
    while carriers != known:
        known = set(carriers)
        for file, places in source.places.items():
            names = _names_in(file, known)
            for place in places:
                carriers.update(_handed_on(source, place, names, passing))
    for file, places in source.places.items():
        names = _names_in(file, known)
        for place in places:
            if _decides(place.node, names):
                passing.decisions[place.function] = None
    return passing


def _names_in(file: str, carriers: set[tuple[str, str]]) -> set[str]:
    return {name for where, name in carriers if where in {"", file}}


def _decides(node: ast.AST, names: set[str]) -> bool:
    if not isinstance(node, ast.If | ast.IfExp | ast.While):
        return False
    return any(_is_read(one, names) for one in ast.walk(node.test))


def _handed_on(
    source: Source, place: Place, names: set[str], passing: Passing
) -> Iterator[tuple[str, str]]:
    """Yield the names that carry the value after a node, each with its file."""
    node, file = place.node, place.file
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if node.value is not None and _carries(node.value, names):
            yield from (_scoped(file, name) for target in targets if (name := _name(target)))
    if not isinstance(node, ast.Call):
        return
    arguments: list[tuple[str | int | None, ast.expr]] = [
        *enumerate(node.args),
        *((keyword.arg, keyword.value) for keyword in node.keywords),
    ]
    for argument, value in arguments:
        if not _carries(value, names):
            continue
        for definition, name in _called(source, file, node, argument):
            if definition.file != file:
                passing.note(place.function, f"{definition.file}:{definition.name}({name})")
            yield definition.file, name
            if definition.is_class:
                yield _scoped(definition.file, f".{name}")


def _called(
    source: Source, file: str, call: ast.Call, argument: str | int | None
) -> Iterator[tuple[Definition, str]]:
    """Yield the definitions that a call may mean, each with the parameter of the argument."""
    called = _name(call.func).removeprefix(".")
    for definition in source.definitions.get(called, ()):
        if called.startswith("_") and definition.file != file:
            continue
        for position, name in enumerate(definition.parameters):
            if argument in {position, name}:
                yield definition, name


def _carries(value: ast.expr, names: set[str]) -> bool:
    """Return whether an expression carries the value, or is a condition on it."""
    match value:
        case ast.Name() | ast.Attribute():
            return _name(value) in names
        case ast.Compare():
            return any(_carries(one, names) for one in (value.left, *value.comparators))
        case ast.BoolOp():
            return any(_carries(one, names) for one in value.values)
        case ast.UnaryOp(op=ast.Not()):
            return _carries(value.operand, names)
        case _:
            return False


def _is_read(node: ast.AST, names: set[str]) -> bool:
    is_load = isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load)
    return is_load and _name(node) in names


def _name(node: ast.AST) -> str:
    """Return a name, or the name of an attribute with a dot before it; "" for other nodes."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name):
            return f".{name}"
        case _:
            return ""


def _scoped(file: str, name: str) -> tuple[str, str]:
    """Return the scope of a carrier and its name: "" for attributes, unless they are private."""
    return ("" if name.startswith(".") and not name.startswith("._") else file), name


def _parameters(node: ast.ClassDef | Function) -> tuple[str, ...]:
    """Return the parameters of a function, or of a class's ``__init__``."""
    if isinstance(node, ast.ClassDef):
        for one in node.body:
            if isinstance(one, ast.FunctionDef) and one.name == "__init__":
                return _parameters(one)
        return tuple(
            one.target.id
            for one in node.body
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
        )
    found = [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return tuple(found[1:] if found[:1] in (["self"], ["cls"]) else found)
