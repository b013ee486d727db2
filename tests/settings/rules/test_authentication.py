import pytest

from bookcast.errors import SettingError
from bookcast.settings import load
from bookcast.settings.rules.authentication import is_short, too_short


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"ENVIRONMENT": "production"}, "AUTH_MODE=none"),
        ({"AUTH_MODE": "jwt"}, "AUTH_MODE (from the environment) is 'jwt', and nothing says"),
        ({"AUTH_MODE": "keys"}, "name their file with AUTH_API_KEYS_FILE"),
        ({"AUTH_MODE": "proxy"}, "say with TRUSTED_PROXIES whose word counts"),
    ],
)
def test_a_mode_is_refused_without_what_it_needs(environ: dict[str, str], sentence: str) -> None:
    """And production without a mode."""
    with pytest.raises(SettingError) as caught:
        load({}, environ, None)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_secret_is_long_enough_in_production() -> None:
    """Elsewhere a short one is taken; its bytes count, not its letters."""
    short, long = "ä" * 15, "ä" * 16
    assert (is_short(short), is_short(long)) == (True, False)
    production = {"ENVIRONMENT": "production", "AUTH_MODE": "jwt", "AUTH_JWT_SECRET": short}
    with pytest.raises(SettingError, match=r"^AUTH_JWT_SECRET \(from the environment\) is shorter"):
        load({}, production, None)
    load({}, {**production, "AUTH_JWT_SECRET": long}, None)
    load({}, {**production, "ENVIRONMENT": "development"}, None)
    assert too_short("A").startswith("A is shorter than 32 bytes")
