from pathlib import Path

import pytest

from bookcast.errors import SettingError
from bookcast.settings import load


@pytest.mark.parametrize(
    ("environ", "sentence"),
    [
        ({"REDIS_URL": "localhost:6379"}, "write redis://"),
        ({"REDIS_URL": "redis://:6379"}, "write redis://"),
        ({"REDIS_URL": "redis://host:port"}, "write redis://"),
        ({"REDIS_URL": "redis://host/name"}, "no number of a database"),
        ({"REDIS_PREFIX": "a{b}"}, "REDIS_PREFIX is 'a{b}' (from the environment); write up to"),
        ({"REDIS_URL": "redis://host", "REDIS_CA_FILE": "/nowhere"}, "which is no file"),
        ({"WORKERS": "2"}, "set REDIS_URL=redis://host:6379, or WORKERS=1"),
        ({"WORKERS": "2", "REDIS_URL": "memory://"}, "set REDIS_URL"),
    ],
)
def test_what_is_no_redis_is_refused(environ: dict[str, str], sentence: str) -> None:
    """So is what needs Redis without one."""
    with pytest.raises(SettingError) as caught:
        load({}, environ, None)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


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
