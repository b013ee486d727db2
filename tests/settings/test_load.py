from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.errors import SettingError
from bookcast.settings import Settings, describe, from_keywords, load


def test_defaults_need_nothing() -> None:
    """Without flags, environment or file, the defaults of development hold."""
    loaded = load({}, {}, None)
    assert loaded.settings == Settings()
    assert loaded.settings.websocket_port == 8002
    assert loaded.sources == {}


def test_a_flag_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    """Each value comes from the nearest place, and says from which."""
    env_file = tmp_path / ".env"
    env_file.write_text("WEBSOCKET_PORT=1\nHOST=10.0.0.1\nBATCH_MS=7\n")
    environ = {"WEBSOCKET_PORT": "2", "HOST": "10.0.0.2"}
    loaded = load({"websocket_port": "3", "host": None}, environ, env_file)
    settings = loaded.settings
    assert (settings.websocket_port, settings.host, settings.batch_ms) == (3, "10.0.0.2", 7.0)
    assert loaded.sources == {
        "websocket_port": "the flag --websocket-port",
        "host": "the environment",
        "batch_ms": ".env",
    }


def test_a_secret_is_read_from_a_file_and_never_shown(tmp_path: Path) -> None:
    """NAME_FILE stands in for a secret's NAME."""
    secret = tmp_path / "redis-url"
    secret.write_text("redis://:password@redis\n")
    loaded = load({}, {"REDIS_URL_FILE": str(secret)}, None)
    assert loaded.settings.redis_url == "redis://:password@redis"
    with pytest.raises(SettingError, match="REDIS_URL_FILE"):
        load({}, {"REDIS_URL_FILE": str(tmp_path / "missing")}, None)


def test_an_env_file_that_is_no_text_is_a_clear_error(tmp_path: Path) -> None:
    """It names the file."""
    env_file = tmp_path / ".env"
    env_file.write_bytes(b"HOST=\xff\xfe")
    with pytest.raises(SettingError, match=r"\.env can't be read"):
        load({}, {}, env_file)


def test_lists_are_separated_by_commas() -> None:
    """Spaces and empty items between commas don't matter."""
    loaded = load({}, {"SIMULATOR_SYMBOLS": " AAPL, TSLA,,"}, None)
    assert loaded.settings.simulator_symbols == ("AAPL", "TSLA")


def test_keywords_are_settings_in_process() -> None:
    """A program says what it wants by keyword; a list will do for a tuple."""
    settings = from_keywords(port=0, simulator_symbols=["AAPL"])
    assert settings.websocket_port == 0
    assert settings.simulator_symbols == ("AAPL",)
    with pytest.raises(SettingError, match="no setting 'prot'"):
        from_keywords(prot=0)
    with pytest.raises(SettingError, match=r"WEBSOCKET_PORT is '80' \(from the caller\)"):
        from_keywords(port="80")
    with pytest.raises(SettingError, match="AUTH_MODE"):
        from_keywords(environment="production")


@given(st.sampled_from(describe()), st.text(st.characters(exclude_characters="\x00"), max_size=20))
def test_any_text_is_a_value_or_a_clear_error(description: object, text: str) -> None:
    """No text in the environment makes anything but settings or a setting's error."""
    name = description.environment_name  # type: ignore[attr-defined]
    try:
        load({}, {name: text}, None)
    except SettingError as error:
        assert name in str(error) or "AUTH_MODE" in str(error)
