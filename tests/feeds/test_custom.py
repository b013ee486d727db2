import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bookcast.errors import SettingError, StartupError
from bookcast.feeds.custom import custom_feed
from bookcast.feeds.factory import feeds_of
from bookcast.settings import from_keywords

FEED = """
from bookcast.feeds.base import Feed, FeedStatus

TEXT = "no function"

class Mine(Feed):
    name = "mine"

    def __init__(self, publish, options):
        super().__init__(publish)
        self.options = options

    async def run(self): ...

    def status(self):
        return FeedStatus(self.name, "connected", 0)

    @classmethod
    def of(cls, publish, options):
        return cls(publish, options)

def number(publish, options):
    raise ValueError(f"rate must be a number, not {options['rate']}")

def fails(publish, options):
    raise KeyError("token")

def stops(publish, options):
    from bookcast.errors import StartupError
    raise StartupError("the licence file is missing")

def wrong(publish, options):
    return options
"""


async def publish(_publications: object) -> None:
    raise AssertionError


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in a folder with modules that nobody has imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "mine.py").write_text(FEED)
    (tmp_path / "broken.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "faulty.py").write_text("1 / 0\n")
    yield
    for name in ("mine", "broken", "faulty"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["mine:Mine", "mine:Mine.of"])
def test_a_feed_is_found_in_the_working_directory(name: str) -> None:
    """And is given its options as they were written."""
    settings = from_keywords(
        feed="custom", feed_factory=name, feed_options=["rate=5", "query=a=b", "empty="]
    )
    [feed] = feeds_of(settings, publish)
    assert feed.name == "mine"
    assert vars(feed)["options"] == {"rate": "5", "query": "a=b", "empty": ""}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("missing:feed", "there is no module missing"),
        ("mine.feed:feed", "there is no module mine.feed"),
        ("broken:feed", "broken can't be imported: No module named 'nothing_of_that_name'"),
        ("faulty:feed", "faulty can't be imported: ZeroDivisionError"),
        ("mine:other", "there is no other in "),
        ("mine:TEXT", "is no function: it is a str"),
        ("mine:wrong", "returns dict; it must return a bookcast.feeds.base.Feed"),
        ("mine:fails", "fails: KeyError: 'token'"),
    ],
)
def test_what_makes_no_feed_ends_the_start(name: str, sentence: str) -> None:
    """By one sentence that names the setting."""
    with pytest.raises(StartupError) as caught:
        custom_feed(publish, name, [])
    assert str(caught.value).startswith(f"FEED_FACTORY is '{name}'")
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_option_that_the_feed_refuses_is_named() -> None:
    """In the feed's own words."""
    with pytest.raises(SettingError, match=r"^FEED_OPTIONS is 'rate=x'; rate must be a number"):
        custom_feed(publish, "mine:number", ["rate=x"])


def test_a_feed_may_refuse_to_start_in_its_own_words() -> None:
    """Where no option is to blame."""
    with pytest.raises(StartupError, match=r"^the licence file is missing$"):
        custom_feed(publish, "mine:stops", [])
