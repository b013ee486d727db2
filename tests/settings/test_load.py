from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.errors import SettingError
from bookcast.settings import Settings, describe, from_keywords, load, names


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
    with pytest.raises(SettingError, match="AUTH_MODE is not set"):
        from_keywords(environment="production")


@pytest.mark.parametrize(
    "keywords",
    [
        {"host": "*"},
        {"allowed_origins": ["null"]},
        {"redis_url": "http://host"},
        {"auth_mode": "jwt"},
        {"workers": 2},
        {"trusted_proxies": ["nginx"]},
    ],
)
def test_a_refused_keyword_says_that_it_came_from_the_caller(keywords: dict[str, Any]) -> None:
    """Also where it is well formed, but can't be meant."""
    with pytest.raises(SettingError, match=r"\(from the caller\)"):
        from_keywords(**keywords)


def test_an_unknown_keyword_is_refused_with_the_nearest() -> None:
    """Where one is near; otherwise all are listed."""
    with pytest.raises(
        SettingError, match="no setting 'websocket_prot'; did you mean 'websocket_port'"
    ):
        from_keywords(websocket_prot=0)
    with pytest.raises(SettingError, match="no setting 'colour'; there are: environment, host"):
        from_keywords(colour="red")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("LOG_LEVEL", "INFO", "info"),
        ("LOG_LEVEL", " Debug\r", "debug"),
        ("AUTH_MODE", "None", "none"),
        ("FEED", "SIMULATOR", "simulator"),
        ("SESSION_QUEUE", "All", "all"),
        ("DEFAULT_MARKET", "hk", "HK"),
        ("READY_WITHOUT_REDIS", "FALSE", False),
        ("FUTU_ORDER_DETAILS", "True", True),
        ("WEBSOCKET_PORT", "9000\r", 9000),
        ("HOST", "0.0.0.0 ", "0.0.0.0"),
        ("REDIS_URL", "Redis://h:1/2", "redis://h:1/2"),
        ("REDIS_URL", "MEMORY://", "memory://"),
    ],
)
def test_a_word_means_the_same_in_any_letters(name: str, text: str, value: object) -> None:
    """And with spaces or Windows' line ends around it, from everywhere."""
    field = name.lower()
    for loaded in (load({}, {name: text}, None), load({field: text}, {}, None)):
        assert getattr(loaded.settings, field) == value
    if isinstance(value, str):
        assert getattr(from_keywords(**{field: text.strip()}), field) == value


def test_an_empty_text_counts_as_not_set_and_a_space_does_not() -> None:
    """What is left of a space is no word."""
    assert load({}, {"AUTH_MODE": ""}, None).settings.auth_mode is None
    with pytest.raises(SettingError, match=r"AUTH_MODE is ' ' .*; it must be one of"):
        load({}, {"AUTH_MODE": " "}, None)


@pytest.mark.parametrize("word", ["production", "Production", "PRODUCTION", " production\r"])
def test_production_in_any_letters_has_its_defaults(word: str) -> None:
    """Words are folded before defaults are chosen."""
    loaded = load({}, {"ENVIRONMENT": word, "AUTH_MODE": "none"}, None)
    assert loaded.settings.production
    assert loaded.settings.admin_allow == ()
    assert (loaded.settings.publish_rate, Settings().publish_rate) == (10_000, 0)
    assert loaded.settings.max_published_topics == Settings().max_published_topics == 100_000
    assert from_keywords(environment=word.strip(), auth_mode="none") == loaded.settings
    with pytest.raises(SettingError, match="AUTH_MODE is not set, and in production"):
        load({}, {"ENVIRONMENT": word}, None)


def test_a_misspelt_name_in_the_environment_is_a_warning() -> None:
    """Much stands there that is none of ours."""
    environ = {"WEBSOCKET_PROT": "1", "redis_url": "x", "PATH": "/bin", "HTTP_PORT": "80"}
    loaded = load({}, environ, None)
    assert loaded.settings == Settings()
    assert sorted(loaded.warnings) == [
        "WEBSOCKET_PROT in the environment is no setting; did you mean WEBSOCKET_PORT?",
        "redis_url in the environment is no setting; did you mean REDIS_URL?",
    ]


def test_a_large_environment_is_searched_without_counting_letters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Names that have no part of a setting's are passed over: an environment has thousands."""
    counted: list[str] = []

    def count(name: str, known: str) -> int:
        counted.append(name)
        return edit_distance(name, known)

    edit_distance = names.edit_distance
    monkeypatch.setattr(names, "edit_distance", count)
    environ = {f"SERVICE_{number}_PORT_8002_TCP": "x" for number in range(500)}
    assert load({}, environ, None).warnings == ()
    assert len(counted) <= 5 * len(environ), "with few of the hundred settings"
    assert load({}, {"WEBSOCKET_PROT": "1"}, None).warnings != ()
    assert counted[-1] == "WEBSOCKET_PROT"


def test_a_mark_at_the_beginning_of_a_secrets_file_is_skipped(tmp_path: Path) -> None:
    """Editors on Windows write a byte order mark."""
    secret = tmp_path / "secret"
    secret.write_text("\ufeffs3cret\r\n")
    loaded = load({}, {"AUTH_JWT_SECRET_FILE": str(secret)}, None)
    assert loaded.settings.auth_jwt_secret == "s3cret"
    with pytest.raises(
        SettingError, match=r"AUTH_JWT_SECRET_FILE is '/no' \(from the environment\)"
    ):
        load({}, {"AUTH_JWT_SECRET_FILE": "/no"}, None)


@given(st.sampled_from(describe()), st.text(st.characters(exclude_characters="\x00"), max_size=20))
def test_any_text_is_a_value_or_a_clear_error(description: object, text: str) -> None:
    """No text in the environment makes anything but settings or a setting's error."""
    name = description.environment_name  # type: ignore[attr-defined] # every setting has one
    try:
        load({}, {name: text}, None)
    except SettingError as error:
        assert name in str(error) or "AUTH_MODE" in str(error)
