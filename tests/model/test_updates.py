import pytest

from bookcast.model.updates import Position


@pytest.mark.parametrize(
    ("one", "other", "past"),
    [
        (Position("5-a", 9), Position("5-a", 8), True),
        (Position("5-a", 9), Position("5-a", 9), False),
        (Position("5-a", 9), Position("5-a", 10), False),
        (Position("10-a", 1), Position("9-b", 8), True),
        (Position("9-a", 99), Position("10-b", 8), False),
        (Position("9-a", 1), Position("m-1f", 8), False),
        (Position("local-a-1", 1), Position("9-a", 8), False),
    ],
)
def test_a_place_is_past_another(one: Position, other: Position, past: bool) -> None:
    """By its number in an epoch, else by when its epoch began, where both say so."""
    assert one.is_past(other) == past
