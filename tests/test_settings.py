from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.errors import SettingError
from bookcast.settings import Settings, describe, from_keywords, is_loopback, load
from tests.support import ROOT


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


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"WEBSOCKET_PORT": "http"}, "WEBSOCKET_PORT is 'http' (from the environment); "),
        ({"WEBSOCKET_PORT": "70000"}, "65535"),
        ({"FEED": "bloomberg"}, "it must be one of none, simulator, futu"),
        ({"BATCH_MS": "-1"}, "BATCH_MS is '-1'"),
        ({"DEFAULT_MARKET": "USA"}, "DEFAULT_MARKET is 'USA'"),
        ({"ALLOWED_ORIGINS": "app.example.com"}, "ALLOWED_ORIGINS has 'app.example.com'"),
        ({"ALLOWED_ORIGINS": "https://a.example/path"}, "with no path"),
        ({"ENVIRONMENT": "production"}, "AUTH_MODE=none"),
        ({"SIMULATOR_RATE": "nan"}, "SIMULATOR_RATE"),
        ({"SIMULATOR_SYMBOLS": "0"}, "from 1 to 100000"),
        ({"SIMULATOR_SYMBOLS": "-1"}, "from 1 to 100000"),
        ({"SIMULATOR_SYMBOLS": "1.5"}, "from 1 to 100000"),
        ({"SIMULATOR_RATE": "1e-320"}, "SIMULATOR_RATE"),
        ({"ALLOWED_ORIGINS": "https://*.a.com"}, "no wildcard"),
        ({"ALLOWED_ORIGINS": "https://a b"}, "ALLOWED_ORIGINS has 'https://a b'"),
        ({"ALLOWED_ORIGINS": "https://:"}, "ALLOWED_ORIGINS has 'https://:'"),
        ({"HOST": "*"}, "0.0.0.0 listens everywhere"),
        ({"SIMULATOR_SYMBOLS": ","}, "name at least one symbol"),
        ({"SIMULATOR_SYMBOLS": "US."}, "names a market but no code"),
        ({"REDIS_URL": "localhost:6379"}, "write redis://"),
        ({"REDIS_URL": "redis://:6379"}, "write redis://"),
        ({"REDIS_URL": "redis://host:port"}, "write redis://"),
        ({"REDIS_PREFIX": "a{b}"}, "REDIS_PREFIX is 'a{b}' (from the environment); write up to"),
        ({"REDIS_URL": "redis://host", "REDIS_CA_FILE": "/nowhere"}, "which is no file"),
        ({"REDIS_TIMEOUT": "0"}, "REDIS_TIMEOUT is '0'"),
        ({"WORKERS": "2"}, "set REDIS_URL=redis://host:6379, or WORKERS=1"),
        ({"WORKERS": "2", "REDIS_URL": "memory://"}, "set REDIS_URL"),
        ({"DRAIN_SECONDS": "-1"}, "DRAIN_SECONDS is '-1'"),
        ({"ENGINE_DOWN_PUBLISH": "queue"}, "it must be one of reject, local"),
    ],
)
def test_a_wrong_value_names_its_setting(environ: dict[str, str], sentence: str) -> None:
    """One sentence names the setting, its value, where it came from and what to do."""
    with pytest.raises(SettingError) as caught:
        load({}, environ, None)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_production_starts_from_stricter_defaults() -> None:
    """Production expects Redis where compose puts it, and must be told to serve openly."""
    loaded = load({}, {"ENVIRONMENT": "production", "AUTH_MODE": "none"}, None)
    assert loaded.settings.redis_url == "redis://redis:6379"
    assert loaded.sources["redis_url"] == "the default in production"
    assert (loaded.settings.publish_rate, Settings().publish_rate) == (10_000, 0)
    assert loaded.settings.max_published_topics == Settings().max_published_topics == 100_000


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


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.0.0.5", True), ("::1", True), ("0.0.0.0", False), ("a.b", False)],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    """Names other than localhost are not trusted to be local."""
    assert is_loopback(host) is loopback


def test_every_setting_is_documented() -> None:
    """The table in docs/settings.md is the one that the declarations make."""
    from scripts.settings_table import table

    assert table() in (ROOT / "docs" / "settings.md").read_text()
