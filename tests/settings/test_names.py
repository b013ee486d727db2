import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.settings.describe import environment_names
from bookcast.settings.names import edit_distance, nearest


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("PORT", "PORT", 0),
        ("PORT", "PROT", 2),
        ("PORT", "PORTS", 1),
        ("PORTS", "PORT", 1),
        ("PORT", "POST", 1),
        ("PORT", "PO", 2),
        ("", "AB", 2),
        ("PORT", "PINT", 2),
    ],
)
def test_a_distance_counts_letters_to_change(a: str, b: str, distance: int) -> None:
    """Added, removed or replaced ones; two that are swapped count as two."""
    assert edit_distance(a, b) == edit_distance(b, a) == distance


@pytest.mark.parametrize(("a", "b"), [("PORT", "HOSTS"), ("", "ABC"), ("ABCDEF", "FEDCBA")])
def test_a_distance_is_not_counted_to_the_end(a: str, b: str) -> None:
    """More than two is more than two."""
    assert edit_distance(a, b) == edit_distance(b, a) == 3


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("WEBSOCKET_PROT", "WEBSOCKET_PORT"),
        ("AUTHMODE", "AUTH_MODE"),
        ("AUTH_MODES", "AUTH_MODE"),
        ("auth_mode", "AUTH_MODE"),
        ("--auth-mode", "AUTH_MODE"),
        ("ALOWED_ORIGIN", "ALLOWED_ORIGINS"),
        ("AUTH_JWT_SECRET_FIEL", "AUTH_JWT_SECRET_FILE"),
        ("ENVIROMENT", "ENVIRONMENT"),
        ("АUTH_MODE", "AUTH_MODE"),  # noqa: RUF001 - a Cyrillic letter that looks like ours
        ("ALOWD_ORIGIN", None),
        ("DBHOST", None),
        ("feed", None),
        ("HOSTS", None),
        ("REDIS_PORT", None),
        ("NODE_ENV", None),
        ("", None),
    ],
)
def test_a_misspelt_name_is_near_one_setting(name: str, meant: str | None) -> None:
    """Of six letters or more, at one or two letters; shorter ones mean something else."""
    assert nearest(name, environment_names()) == meant


def test_the_nearest_of_several_is_meant() -> None:
    """FUTU_HOST and FUTU_PORT are two letters from each other."""
    assert nearest("FUTU_POST", {"FUTU_HOST", "FUTU_PORT"}) in {"FUTU_HOST", "FUTU_PORT"}
    assert nearest("FUTU_PORTS", {"FUTU_HOST", "FUTU_PORT"}) == "FUTU_PORT"


@given(st.data())
def test_no_name_within_two_changes_is_missed(data: st.DataObject) -> None:
    """Wherever they are."""
    name = data.draw(st.sampled_from(sorted(n for n in environment_names() if len(n) >= 8)))
    written = list(name)
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.integers(0, len(written)))
        written[place : place + data.draw(st.integers(0, 1))] = data.draw(
            st.sampled_from(["", "X"])
        )
    found = nearest("".join(written), environment_names())
    assert found is not None
    assert edit_distance("".join(written), found) <= edit_distance("".join(written), name)
