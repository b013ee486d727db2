import json
import re
import subprocess
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bookcast.hub.delta import Side, apply, changes, checksum, number_text
from bookcast.model import Level
from tests.support import ROOT

VECTORS = ROOT / "tests" / "vectors" / "checksum.json"

AWKWARD = [
    (0, "0"),
    (-0.0, "0"),
    (1.0, "1"),
    (-1.5, "-1.5"),
    (0.1 + 0.2, "0.30000000000000004"),
    (1e-4, "0.0001"),
    (1.5e-5, "0.000015"),
    (-1.25e-6, "-0.00000125"),
    (1e-6, "0.000001"),
    (9.999e-7, "9.999e-7"),
    (1e-7, "1e-7"),
    (-1.5e-10, "-1.5e-10"),
    (5e-324, "5e-324"),
    (2.0**53 - 1, "9007199254740991"),
    (2**53 - 1, "9007199254740991"),
    (123456789.125, "123456789.125"),
]

numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(
    -(2.0**53), 2.0**53, exclude_min=True, exclude_max=True, allow_nan=False
)
sizes = st.integers(1, 2**53 - 1) | st.floats(0, 2.0**53, exclude_min=True, exclude_max=True)
levels = st.builds(Level, numbers, sizes, st.none() | st.integers(0, 99))
# Few prices, so that books have many of them in common.
near = st.builds(Level, st.integers(1, 12), st.integers(1, 3), st.none() | st.integers(0, 2))


def side(found: list[Level], *, highest_first: bool) -> Side:
    unique = {level.price: level for level in found}
    return tuple(sorted(unique.values(), key=lambda level: level.price, reverse=highest_first))


@given(st.lists(near), st.lists(near), st.booleans())
def test_changes_lead_from_any_side_to_any_other(
    before: list[Level], after: list[Level], highest_first: bool
) -> None:
    """Best first, each price once, and nothing that stayed."""
    old, new = (side(found, highest_first=highest_first) for found in (before, after))
    changed = changes(old, new, highest_first=highest_first)
    assert apply(old, changed, highest_first=highest_first) == new
    assert changed == side(list(changed), highest_first=highest_first)
    assert not set(changed) & set(old)
    assert (changed == ()) == (old == new)


def test_a_level_that_is_gone_has_size_0() -> None:
    """Whether it left the book or only the view's depth."""
    before = (Level(3, 1), Level(2, 1))
    assert changes(before, (Level(4, 1), Level(3, 1)), highest_first=True) == (
        Level(4, 1),
        Level(2, 0),
    )


@pytest.mark.parametrize(("number", "text"), AWKWARD)
def test_numbers_are_written_as_ecmascript_does(number: float, text: str) -> None:
    """Shortest digits, no exponent above 1e-7, no minus before zero."""
    assert number_text(number) == text


@given(numbers)
def test_a_written_number_is_the_number(number: float) -> None:
    """No digit is lost."""
    assert float(number_text(number)) == float(number)
    if isinstance(number, int):
        assert Fraction(number_text(number)) == number


def test_a_checksum_covers_the_best_ten_levels_of_each_side() -> None:
    """Bids before asks; the CRC-32 that zip files use."""
    bids = tuple(Level(price, 1) for price in range(30, 10, -1))
    assert checksum(bids, ()) == checksum(bids[:10], ())
    assert checksum(bids, bids[:1]) != checksum(bids[:1], bids)
    assert checksum((), ()) == 0
    assert checksum((Level(189.9, 300),), (Level(190, 0.5),)) == 0xFFFF_FFFF & checksum(
        (Level(189.9, 300, 7),), (Level(190.0, 0.5),)
    )


def javascript(books: bytes) -> list[int]:
    """Run the reader in the documentation on books, with nothing but JSON.parse around it."""
    text = (ROOT / "docs" / "protocol-v1.md").read_text()
    documented = re.search(r"```js\n(function checksum.*?)```", text, re.DOTALL)
    assert documented is not None
    script = documented[1] + (
        'const books = JSON.parse(require("fs").readFileSync(0, "utf8"));'
        "console.log(JSON.stringify(books.map(({bids, asks}) => checksum(bids, asks))));"
    )
    ran = subprocess.run(["node", "-e", script], input=books, capture_output=True, check=True)
    return list(json.loads(ran.stdout))


def test_python_and_javascript_agree_on_the_vectors() -> None:
    """Awkward numbers included."""
    text = VECTORS.read_bytes()
    vectors = json.loads(text)
    assert len(vectors) > 50
    sums = [vector["checksum"] for vector in vectors]
    assert javascript(text) == sums
    assert sums == [
        checksum(*(tuple(Level(*level) for level in vector[name]) for name in ("bids", "asks")))
        for vector in vectors
    ]


def test_the_vectors_are_those_that_the_script_makes() -> None:
    """Nobody edits them by hand."""
    from scripts.checksum_vectors import vectors

    assert json.loads(VECTORS.read_text()) == vectors()


@given(st.lists(st.fixed_dictionaries({"bids": st.lists(levels), "asks": st.lists(levels)})))
@settings(max_examples=25, deadline=None)
def test_python_and_javascript_agree_on_any_book(books: list[dict[str, list[Level]]]) -> None:
    """What JSON carries from one to the other is exact."""
    sums = [checksum(tuple(book["bids"]), tuple(book["asks"])) for book in books]
    assert javascript(msgspec.json.encode(books)) == sums
