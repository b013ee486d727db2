from pathlib import Path

import pytest

from bookcast.errors import SettingError
from bookcast.settings import is_loopback, load


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
        ({"ALLOWED_HOSTS": "*"}, "ALLOWED_HOSTS has '*' (from the environment); write names"),
        ({"ALLOWED_HOSTS": "a.com,https://b.com"}, "ALLOWED_HOSTS has 'https://b.com'"),
        ({"ALLOWED_HOSTS": "*.a.com"}, "no scheme, path or wildcard"),
        ({"ALLOWED_HOSTS": "a.com/"}, "ALLOWED_HOSTS has 'a.com/'"),
        ({"SIMULATOR_SYMBOLS": ","}, "name at least one symbol"),
        ({"SIMULATOR_SYMBOLS": "US."}, "names a market but no code"),
        ({"REDIS_URL": "localhost:6379"}, "write redis://"),
        ({"REDIS_URL": "redis://:6379"}, "write redis://"),
        ({"REDIS_URL": "redis://host:port"}, "write redis://"),
        ({"REDIS_URL": "redis://host/name"}, "no number of a database"),
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


@pytest.mark.parametrize(
    "host",
    ["a.com", "A.com.", "a.com:8002", "münchen.example", "::1", "[::1]", "[fe80::1]:80", "1.2.3.4"],
)
def test_a_host_may_be_a_name_or_an_address(host: str) -> None:
    """With a port or without, as a Host header has it."""
    assert load({}, {"ALLOWED_HOSTS": host}, None).settings.allowed_hosts == (host,)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LocalHost", True),
        ("127.0.0.5", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("a.b", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    """Names other than localhost are not trusted to be local."""
    assert is_loopback(host) is loopback


SECRET = "hunter2"


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}#x@host:6379",
        f"redis://:#{SECRET}@host:6379",
        f"redis://user:{SECRET}/x@host",
        f"redis://user:12/{SECRET}@host",
        f"redis://user:12#{SECRET}@host",
        f"redis://user:12?{SECRET}@host",
        f"redis://:{SECRET}?x@host",
        f"redis://:{SECRET}@x@host",
        f"redis://:{SECRET}[@host",
        f"rediss://:{SECRET}]x/y@host/0",
        f"redis://user:1/#?@{SECRET}@host",
        f"unix://:{SECRET}/x@/run/redis.sock",
    ],
)
def test_a_password_that_breaks_the_url_of_redis_is_not_repeated(url: str, tmp_path: Path) -> None:
    """The sentence has how to write its characters, and where the value came from."""
    file = tmp_path / "url"
    file.write_text(url)
    for environ, source in (
        ({"REDIS_URL": url}, "the environment"),
        ({"REDIS_URL_FILE": str(file)}, f"the file {file}"),
    ):
        with pytest.raises(SettingError) as caught:
            load({}, environ, None)
        sentence = str(caught.value)
        assert sentence.startswith(f"REDIS_URL (from {source}) can't be read")
        assert "%23 for #, %2F for /, %3F for ?, %40 for @" in sentence
        assert SECRET not in sentence


@pytest.mark.parametrize(
    "url",
    [
        "redis://:a%23b%2Fc%3Fd%40e@host:6379/1",
        "redis://user:pass:word@host",
        "rediss://user:pass@[::1]:6379/0/",
        "redis://host/2?health_check_interval=5",
        "unix:///run/a@b.sock",
        "unix://:password@/run/redis.sock?db=2",
        "memory://",
    ],
)
def test_a_url_of_redis_that_is_written_right_is_taken(url: str) -> None:
    """As it is."""
    assert load({}, {"REDIS_URL": url}, None).settings.redis_url == url


def test_rules_of_several_settings_name_where_the_first_came_from() -> None:
    """So that it is found."""
    with pytest.raises(SettingError, match=r"^AUTH_MODE \(from the environment\) is 'keys'"):
        load({}, {"AUTH_MODE": "keys"}, None)
    production = {"ENVIRONMENT": "production", "AUTH_MODE": "jwt", "AUTH_JWT_SECRET": "short"}
    with pytest.raises(SettingError, match=r"^AUTH_JWT_SECRET \(from the environment\) is shorter"):
        load({}, production, None)
