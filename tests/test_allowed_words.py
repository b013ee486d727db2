import enum
from typing import Annotated, Literal, NamedTuple

import msgspec
import pytest
from msgspec import Meta

from bookcast.allowed_words import words_of
from bookcast.ingest.schemas import PublishedQuote, PublishedTrades, PublishedUpdate
from bookcast.model.topics import CHANNELS
from bookcast.protocol.v1 import messages as v1


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Pair(NamedTuple):
    left: int
    right: Literal["z", "a"]


class Inner(msgspec.Struct, rename="camel"):
    one_word: Literal["b", "a"] | None = None
    colour: Colour = Colour.RED
    declared: Annotated[str, Meta(extra_json_schema={"enum": ["x", None]})] = "x"
    free: str = ""


class Outer(msgspec.Struct):
    listed: list[Inner] = []
    mapped: dict[str, tuple[Inner, ...]] = {}
    plain: Annotated[list[Literal["p"]], Meta(max_length=3)] = []


@pytest.mark.parametrize(
    ("kind", "path", "words"),
    [
        (Outer, "listed[3].oneWord", ("b", "a")),
        (Outer, "mapped[...][0].colour", ("red", "blue")),
        (Outer | None, "listed[0].declared", ("x",)),
        (Outer, "listed[0].free", ()),
        (Outer, "listed[0].nothing", ()),
        (Outer, "listed[0].one_word", ()),
        (Outer, "plain[2]", ("p",)),
        (Outer, "", ()),
        (Literal["q"], "", ("q",)),
        (int, "a.b", ()),
        (None, "mode", ()),
        (v1.Command, "mode", ("full", "delta")),
        (v1.Command, "variant", ("odd",)),
        (PublishedTrades, "trades[1].side", ("buy", "sell", "neutral")),
        (PublishedQuote, "option.style", ("american", "european", "bermudan")),
        (PublishedQuote, "dark", ("pending", "trading", "ended")),
        (PublishedUpdate, "channel", CHANNELS),
    ],
)
def test_the_words_of_a_field_are_found_in_its_type(
    kind: object, path: str, words: tuple[str, ...]
) -> None:
    """In the order in which they are declared, through lists, mappings and unions."""
    assert words_of(kind, path) == words
