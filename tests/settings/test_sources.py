import pytest

from bookcast.settings.sources import came_from, with_source


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        (
            "HOST is 'x', which can't be resolved",
            "HOST (from the environment) is 'x', which can't be resolved",
        ),
        ("HOST is 'x' (from the environment); no", "HOST is 'x' (from the environment); no"),
        ("FEED is 'x'", "FEED is 'x'"),
        ("Host is down", "Host is down"),
        ("", ""),
    ],
)
def test_a_refusal_says_where_the_value_came_from(sentence: str, shown: str) -> None:
    """Wherever in the program the value is refused."""
    assert with_source(sentence, {"host": "the environment"}) == shown


def test_a_value_that_nobody_set_came_from_nowhere() -> None:
    """It is the default."""
    sources = {"host": ".env"}
    assert came_from("host", sources) == " (from .env)"
    assert came_from("feed", sources) == ""
