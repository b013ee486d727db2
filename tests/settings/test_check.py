import pytest

from bookcast.errors import SettingError
from bookcast.settings import load


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"WEBSOCKET_PORT": "http"}, "WEBSOCKET_PORT is 'http' (from the environment); "),
        ({"WEBSOCKET_PORT": "70000"}, "65535"),
        ({"FEED": "bloomberg"}, "it must be one of none, simulator, futu"),
        ({"BATCH_MS": "-1"}, "BATCH_MS is '-1'"),
        ({"DEFAULT_MARKET": "USA"}, "DEFAULT_MARKET is 'USA'"),
        ({"SIMULATOR_RATE": "nan"}, "SIMULATOR_RATE"),
        ({"SIMULATOR_RATE": "1e-320"}, "SIMULATOR_RATE"),
        ({"DRAIN_SECONDS": "-1"}, "DRAIN_SECONDS is '-1'"),
        ({"ENGINE_DOWN_PUBLISH": "queue"}, "it must be one of reject, local"),
        ({"REDIS_TIMEOUT": "0"}, "REDIS_TIMEOUT is '0'"),
    ],
)
def test_a_wrong_value_names_its_setting(environ: dict[str, str], sentence: str) -> None:
    """One sentence names the setting, its value, where it came from and what to do."""
    with pytest.raises(SettingError) as caught:
        load({}, environ, None)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rules_of_several_settings_name_where_the_first_came_from() -> None:
    """So that it is found."""
    with pytest.raises(SettingError, match=r"^AUTH_MODE \(from the environment\) is 'keys'"):
        load({}, {"AUTH_MODE": "keys"}, None)
    production = {"ENVIRONMENT": "production", "AUTH_MODE": "jwt", "AUTH_JWT_SECRET": "short"}
    with pytest.raises(SettingError, match=r"^AUTH_JWT_SECRET \(from the environment\) is shorter"):
        load({}, production, None)


def test_the_first_rule_that_is_broken_is_told() -> None:
    """One at a time, in the order of the rules."""
    environ = {"HOST": "*", "SIMULATOR_SYMBOLS": ",", "ALLOWED_HOSTS": "*"}
    for name in ("SIMULATOR_SYMBOLS", "HOST", "ALLOWED_HOSTS"):
        with pytest.raises(SettingError, match=rf"^{name} "):
            load({}, environ, None)
        del environ[name]
