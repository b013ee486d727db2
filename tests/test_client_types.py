"""The words of the server, as the TypeScript client and the page know them."""

import json
import subprocess
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import msgspec
import pytest
from msgspec import UNSET, Meta, UnsetType
from scripts.client_types import CLIENT, Module, files

from bookcast.protocol.v1 import messages as v1
from tests.golden.sent import messages_of_v1
from tests.support import missing


@pytest.mark.parametrize("path", files(), ids=lambda path: path.name)
def test_the_files_of_clients_are_made_from_ours(path: Path) -> None:
    """Run `make fix` when this fails: something in the Structs or the tables has changed."""
    assert path.read_text() == files()[path]


class Inner(NamedTuple):
    """A level."""

    price: int | float
    orders: int | None = None


class Outer(msgspec.Struct, tag_field="type", tag="outer", omit_defaults=True):
    """What ``one`` needs."""

    levels: list[Inner]
    when: tuple[Annotated[float | None, Meta(title="feed")], Annotated[int, Meta(title="server")]]
    side: Literal["buy", "sell"]
    many: tuple[int, ...] | None = None
    mixed: list[str | int] | UnsetType = UNSET
    raw: Any = None


def test_a_struct_is_written_as_an_interface_with_all_that_it_names() -> None:
    """Optional where it may be absent, and never null where it would be absent instead."""
    module = Module()
    assert module.write(Outer) == "Outer"
    assert module.text() == (
        "/** What `one` needs. */\n"
        "export interface Outer {\n"
        '  type: "outer";\n'
        "  levels: Inner[];\n"
        "  when: [feed: number | null, server: number];\n"
        '  side: "buy" | "sell";\n'
        "  many?: number[];\n"
        "  mixed?: (string | number)[];\n"
        "  raw?: unknown;\n"
        "}\n"
        "\n"
        "/** A level. */\n"
        "export type Inner = [price: number, orders?: number];\n"
    )


def test_two_types_of_one_name_are_refused() -> None:
    """They would be taken for each other."""
    module = Module()
    module.write(Outer)
    with pytest.raises(AssertionError, match="two types named Outer"):
        module.write(msgspec.defstruct("Outer", []))


def test_messages_that_were_sent_have_the_types_that_clients_are_given(tmp_path: Path) -> None:
    """All that the recorded conversations hold, read by the TypeScript compiler."""
    compiler = CLIENT.parent / "node_modules" / ".bin" / "tsc"
    if not compiler.exists():
        missing("no node_modules in clients/typescript: run 'make setup'")
    sent = [*dict.fromkeys(messages_of_v1())]
    kinds = {str(kind.__struct_config__.tag) for kind in get_args(v1.Message)}
    assert {json.loads(message)["type"] for message in sent} == kinds - {"token_expiring"}
    source = tmp_path / "sent.mts"
    literals = ",\n".join(sent)
    source.write_text(
        f'import type {{ Message }} from "{CLIENT}/messages.js";\n'
        f"export const sent: Message[] = [\n{literals}\n];\n"
    )
    options = ["--noEmit", "--strict", "--module", "nodenext", "--exactOptionalPropertyTypes"]
    result = subprocess.run(
        [str(compiler), *options, str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.stdout, result.returncode) == ("", 0)
