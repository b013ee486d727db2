import pytest

from bookcast.settings import COMMON, describe
from bookcast.settings.describe import GROUPS, environment_names
from tests.support import ROOT


def test_every_setting_is_documented() -> None:
    """The table in docs/settings.md is the one that the declarations make."""
    from scripts.settings_table import table

    assert table() in (ROOT / "docs" / "settings.md").read_text()


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("log_level", "debug|info|warning|error"),
        ("auth_mode", "none|jwt|keys|proxy"),
        ("ready_without_redis", "true|false"),
        ("allowed_origins", "A,B,..."),
        ("websocket_port", "PORT"),
        ("batch_ms", "MS"),
        ("max_body_bytes", "BYTES"),
        ("redis_timeout", "SECONDS"),
        ("stale_after_quote", "SECONDS"),
        ("session_ttl", "SECONDS"),
        ("workers", "N"),
        ("message_rate", "N"),
        ("redis_url", "URL"),
        ("auth_rights_file", "FILE"),
    ],
)
def test_a_value_has_words_in_the_help(field: str, words: str) -> None:
    """Those that are allowed, or its unit or kind."""
    [one] = [one for one in describe() if one.field == field]
    assert one.placeholder == words


def test_every_setting_has_a_group() -> None:
    """Groups begin at a setting that there is, and so does what the short help shows."""
    fields = {one.field for one in describe()}
    assert set(GROUPS) <= fields
    assert fields >= COMMON
    assert {one.group for one in describe()} == set(GROUPS.values())


def test_names_of_the_environment_include_the_files_of_secrets() -> None:
    """Of secrets alone."""
    names = environment_names()
    assert {"REDIS_URL", "REDIS_URL_FILE", "AUTH_JWT_SECRET_FILE", "HOST"} <= names
    assert "HOST_FILE" not in names
