import json
import math
import random
import re
import struct
import subprocess
from fractions import Fraction
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bookcast.model.book_delta import Side, apply, changes, checksum, number_text
from bookcast.model.market_data import Level
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
    (1e16, "10000000000000000"),
    (1.5e20, "150000000000000000000"),
    (-1e21, "-1e+21"),
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


def documented(language: str, beginning: str) -> str:
    """Return the reader in the documentation."""
    text = (ROOT / "docs" / "protocol-v1.md").read_text()
    found = re.search(rf"```{language}\n({beginning}.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


def javascript(books: bytes) -> list[int]:
    """Run the documented reader on books, with nothing but JSON.parse around it."""
    script = documented("js", "function checksum") + (
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


def python() -> Any:
    """Return the module that the documented reader is."""
    module = ModuleType("documented")
    exec(documented("python", "import zlib"), vars(module))
    return module


def strings(numbers: list[float]) -> list[str]:
    """Return what ``String(number)`` of JavaScript is."""
    script = (
        'const numbers = JSON.parse(require("fs").readFileSync(0, "utf8"));'
        "console.log(JSON.stringify(numbers.map(String)));"
    )
    text = json.dumps(numbers).encode()
    ran = subprocess.run(["node", "-e", script], input=text, capture_output=True, check=True)
    return list(json.loads(ran.stdout))


def test_the_documented_python_agrees_on_the_vectors() -> None:
    """With nothing but a JSON reader around it."""
    vectors = json.loads(VECTORS.read_text())
    checksum_of = python().checksum
    assert [checksum_of(one["bids"], one["asks"]) for one in vectors] == [
        one["checksum"] for one in vectors
    ]


def check_texts(numbers: list[float]) -> None:
    texts, text_of = strings(numbers), python().number_text
    assert [text_of(number) for number in numbers] == texts
    assert [number_text(number) for number in numbers] == texts


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(finite | st.integers(1 - 2**53, 2**53 - 1), min_size=50))
@settings(max_examples=15, deadline=None)
def test_every_finite_number_is_written_as_javascript_does(numbers: list[float]) -> None:
    """By the server, and by the reader in the documentation."""
    check_texts(numbers)


def test_numbers_of_any_magnitude_are_written_as_javascript_does() -> None:
    """All powers of ten and their neighbours, and floats of any bits."""
    powers = [float(f"1e{power}") for power in range(-323, 309)]
    beside = [math.nextafter(power, way) for power in powers for way in (0.0, math.inf)]
    chance = random.Random(1)
    any_bits = [struct.unpack("d", chance.randbytes(8))[0] for _ in range(5000)]
    decimals = [
        round(chance.uniform(0, 10 ** chance.randrange(20)), chance.randrange(9))
        for _ in range(5000)
    ]
    numbers = [number for number in any_bits if math.isfinite(number)]
    check_texts([*powers, *beside, *numbers, *decimals, -0.0, 5e-324, -1e21, -1e-7])
