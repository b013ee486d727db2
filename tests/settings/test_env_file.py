import os
import threading
from pathlib import Path

import pytest

from bookcast.errors import SettingError
from bookcast.settings import load
from bookcast.settings.describe import environment_names
from bookcast.settings.env_file import read_env_file


def read(path: Path, content: str | bytes) -> dict[str, str | None]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return dict(read_env_file(path, environment_names()))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".env"


@pytest.mark.parametrize(
    "content",
    [
        "AUTH_MODE=jwt",
        "\ufeffAUTH_MODE=jwt",
        "FOO=1\n\ufeffAUTH_MODE=jwt",
        "\ufeff\ufeffAUTH_MODE=jwt",
        "AUTH_MODE = jwt",
        "export AUTH_MODE=jwt",
        "  AUTH_MODE='jwt'  # asks for a token",
        'AUTH_MODE="jwt"\r\n',
        "'AUTH_MODE'=jwt",
        "AUTH_MODE=none\nAUTH_MODE=jwt",
        "MODE=jwt\nAUTH_MODE=${MODE}",
        "AUTH_MODE=${NOT_SET_ANYWHERE:-jwt}",
    ],
)
def test_a_line_that_sets_a_name_counts(path: Path, content: str) -> None:
    """However it is quoted, spaced, marked or ended."""
    assert read(path, content)["AUTH_MODE"] == "jwt"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("AUTH_MODE: jwt", 1),
        ("AUTH_MODE:jwt", 1),
        ("AUTH_MODE := jwt", 1),
        ("\n\n  \nSET AUTH_MODE=jwt", 4),
        ("FOO=1\r\nset AUTH_MODE=jwt\r\n", 2),
        ("AUTH_MODE jwt", 1),
        ("AUTH_MODE", 1),
        ("export AUTH_MODE", 1),
        ("setenv AUTH_MODE jwt", 1),
        ("set -gx AUTH_MODE jwt", 1),
        ('$env:AUTH_MODE="jwt"', 1),
        ('"AUTH_MODE": "jwt",', 1),
        ('"AUTH_MODE"=jwt', 1),
        ("- AUTH_MODE=jwt", 1),
        ("env AUTH_MODE=jwt bookcast serve", 1),
        ('FOO=1\nAUTH_MODE="jwt', 2),
        ("AUTH_MODE='jwt\nFOO='x'", 1),
        ('AUTH_MODE="jwt" is what we want', 1),
        ("AUTH_MODE#jwt", 1),
        ("AUTH_MODE＝jwt", 1),  # noqa: RUF001 - the wide sign of an East Asian keyboard
        ("\u200bAUTH_MODE=jwt", 1),
        ("\u2003FOO=1\nAUTH_JWT_SECRET_FILE: /run/x", 2),
    ],
)
def test_a_line_with_a_settings_name_that_does_not_set_it_ends_the_start(
    path: Path, content: str, line: int
) -> None:
    """One sentence has the line's number and the name, and nothing else of the line."""
    with pytest.raises(SettingError) as caught:
        read(path, content)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}, line {line}: AUTH_")
    assert "=value, with quotes closed, or put a # before it" in sentence
    assert "\n" not in sentence
    assert "jwt" not in sentence


@pytest.mark.parametrize(
    ("content", "line", "written", "meant"),
    [
        ("WEBSOCKET_PROT=9000", 1, "WEBSOCKET_PROT", "WEBSOCKET_PORT"),
        ("FOO=1\nWEBSOCKET_PROT: 9000", 2, "WEBSOCKET_PROT", "WEBSOCKET_PORT"),
        ("export ALLOWED_ORIGIN=x", 1, "ALLOWED_ORIGIN", "ALLOWED_ORIGINS"),
        ("auth_mode=jwt", 1, "auth_mode", "AUTH_MODE"),
        ("AUTH-MODE=jwt", 1, "AUTH-MODE", "AUTH_MODE"),
        ("AUTH MODE=jwt", 1, "AUTH MODE", "AUTH_MODE"),
        ("--auth-mode=jwt", 1, "--auth-mode", "AUTH_MODE"),
        ("SET REDIS_ULR=x", 1, "REDIS_ULR", "REDIS_URL"),
        ("AUTHMODE jwt", 1, "AUTHMODE", "AUTH_MODE"),
        ("REDIS_URLS_FILE=x", 1, "REDIS_URLS_FILE", "REDIS_URL_FILE"),
        ("AUTH_MODE=none\nAUTH_MOD=jwt", 2, "AUTH_MOD", "AUTH_MODE"),
    ],
)
def test_a_name_that_is_nearly_a_settings_ends_the_start(
    path: Path, content: str, line: int, written: str, meant: str
) -> None:
    """One sentence has the line's number and the right name."""
    with pytest.raises(SettingError) as caught:
        read(path, content)
    assert str(caught.value) == (
        f"{path}, line {line}: {written} is no setting, but nearly {meant}; correct it, or put a # "
        "before it"
    )


def test_a_quote_left_open_does_not_swallow_settings(path: Path) -> None:
    """Those on the lines up to the next quote would be lost, another program's quote or not."""
    for content in ('A="open\nAUTH_MODE=jwt\nB="', "A='open\n\n export AUTH_MODE=jwt\nB='x'"):
        with pytest.raises(SettingError, match=r"line \d: AUTH_MODE (stands within|is not set)"):
            read(path, content)
    with pytest.raises(SettingError, match="line 2: AUTH_MODE is not set by this"):
        read(path, 'A="open\nAUTH_MODE=jwt\nB="x"')


def test_what_is_other_programs_is_left_alone(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Their names, comments, values of many lines, and lines that nobody understands."""
    content = """
# AUTH_MODE: jwt
DATABASE_URL=postgres://x  # AUTH_MODE: as above
NODE_ENV=production
host=db.example
DBHOST=1
some words that are no assignment  # AUTH_MODE
KEY='{
  "HOST": "db.example",
  "AUTH_MODE": "ldap"
}'
JSON={"AUTH_MODE": "ldap"}
BOOKCAST_AUTH_MODE=jwt
=x
UNCLOSED="quote
OTHER=1
"""
    values = read(path, content)
    assert values["NODE_ENV"] == "production"
    assert not environment_names() & set(values)
    assert caplog.text == ""


def test_a_value_that_refers_to_nothing_ends_the_start(path: Path) -> None:
    """It would count as not set; an empty value in so many words does."""
    with pytest.raises(SettingError, match="line 2: AUTH_MODE comes out empty"):
        read(path, "FOO=1\nAUTH_MODE=${NOT_SET_ANYWHERE}")
    for content in ("AUTH_MODE=", "AUTH_MODE=''", "AUTH_MODE=${NOT_SET_ANYWHERE:-}"):
        assert read(path, content)["AUTH_MODE"] == ""


@pytest.mark.parametrize(
    "content",
    [b"HOST=\xff\xfe", "HOST=1".encode("utf-16"), "HOST=1".encode("utf-16-le")],
    ids=["none", "marked UTF-16", "UTF-16"],
)
def test_a_file_that_is_no_text_is_a_clear_error(path: Path, content: bytes) -> None:
    """It names the file and the encoding to save it in."""
    with pytest.raises(SettingError, match=r"\.env can't be read: .*; save it as UTF-8"):
        read(path, content)


def test_without_a_file_there_are_no_values(tmp_path: Path) -> None:
    """A folder of that name, as of a virtual environment, is none."""
    assert read_env_file(tmp_path / ".env", environment_names()) == {}
    assert read_env_file(tmp_path, environment_names()) == {}


def test_a_password_manager_may_serve_the_file(path: Path) -> None:
    """As a named pipe, which is read once."""
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("AUTH_MODE=none\n",))
    writer.start()
    loaded = load({}, {}, path)
    writer.join()
    assert loaded.settings.auth_mode == "none"
    assert loaded.sources == {"auth_mode": ".env"}
