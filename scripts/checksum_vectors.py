"""Writes tests/vectors/checksum.json: books and their checksums, for clients in any language.

python -m scripts.checksum_vectors
"""

from __future__ import annotations

import random
from pathlib import Path

import msgspec

from bookcast.model.book_delta import checksum
from bookcast.model.market_data import Level

TARGET = Path(__file__).parent.parent / "tests" / "vectors" / "checksum.json"
AWKWARD = (
    *(0.1 + 0.2, 1e-4, 1.5e-5, 1.25e-6, 1e-6, 9.999e-7, 1e-7, 1.5e-10, 5e-324),
    *(1.0, 100.0, 2**53 - 1, 2.0**53 - 1, 4503599627370497.5, 123456789.125, 0.30000000000000004),
    *(1e15, 1e16, 1.2345e20, 123456789012345680000.0, 1e21, 1.5e21, 1.7976931348623157e308),
)


def vectors() -> list[dict[str, object]]:
    """Return the books with their checksums: an empty one, one per awkward number, random ones."""
    chance = random.Random(1)
    books: list[tuple[list[Level], list[Level]]] = [([], [])]
    books += [([Level(-number, number)], [Level(number, 1, 3)]) for number in AWKWARD]
    for _ in range(60):
        bids, asks = (
            sorted(
                {
                    round(chance.uniform(1, 1000), chance.randrange(6)): None
                    for _ in range(chance.randrange(14))
                },
                reverse=side == "bids",
            )
            for side in ("bids", "asks")
        )
        books.append(
            tuple(  # type: ignore[arg-type] # the loop makes exactly two sides
                [
                    Level(price, chance.choice([chance.randrange(1, 10**6), chance.random()]))
                    for price in prices
                ]
                for prices in (bids, asks)
            )
        )
    return [
        {
            "bids": [[level.price, level.size] for level in bids],
            "asks": [[level.price, level.size] for level in asks],
            "checksum": checksum(tuple(bids), tuple(asks)),
        }
        for bids, asks in books
    ]


if __name__ == "__main__":
    text = b",\n".join(msgspec.json.encode(vector) for vector in vectors())
    TARGET.write_bytes(b"[\n" + text + b"\n]\n")
