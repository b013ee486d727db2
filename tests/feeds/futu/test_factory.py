from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from Crypto.PublicKey import RSA

from bookcast.errors import SettingError, StartupError
from bookcast.feeds.futu import factory, schema
from bookcast.feeds.futu.endpoints import Endpoint
from bookcast.feeds.futu.factory import endpoints_of, futu_feed, key_of, pinned_of
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication
from bookcast.settings import Settings, from_keywords

US = Symbol("US.AAPL")


async def publish(_: Sequence[Publication]) -> None:
    """Take nothing."""


def test_without_a_list_there_is_one_opend() -> None:
    """By default here."""
    assert endpoints_of(Settings()) == [Endpoint("127.0.0.1", 11111, "FUTU_HOST")]
    one = Settings(futu_host="opend", futu_port=1)
    assert endpoints_of(one) == [Endpoint("opend", 1)]


def test_a_list_of_opends_counts_alone() -> None:
    """The primary first."""
    settings = Settings(
        futu_host="elsewhere", futu_endpoints=("opend:1", "127.0.0.1:65535", "[::1]:11111")
    )
    assert endpoints_of(settings) == [
        Endpoint("opend", 1, "FUTU_ENDPOINTS"),
        Endpoint("127.0.0.1", 65535, "FUTU_ENDPOINTS"),
        Endpoint("::1", 11111, "FUTU_ENDPOINTS"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "opend",
        "opend:",
        ":11111",
        "opend:0",
        "opend:65536",
        "opend:-1",
        "opend:http",
        "opend:1.5",
        "::1",
        "::1:11111",
        "[::1]",
        "[]:1",
        "[::1:11111",
        "opend]:1",
        "[opend:1",
        "opend:²",
    ],
)
def test_what_is_no_endpoint_is_one_sentence(text: str) -> None:
    """It shows how to write one."""
    with pytest.raises(SettingError, match=r"FUTU_ENDPOINTS has .*; an endpoint is host:port"):
        endpoints_of(Settings(futu_endpoints=("good:1", text)))


@pytest.mark.parametrize(
    ("text", "topic"),
    [
        ("AAPL", Topic("orderbook", US)),
        ("US.AAPL", Topic("orderbook", US)),
        ("quote:AAPL", Topic("quote", US)),
        ("trades:HK.00700", Topic("trades", Symbol("HK.00700"))),
        ("orderbook:HK.00700:odd", Topic("orderbook", Symbol("HK.00700"), "odd")),
        ("candles:AAPL:1m", Topic("candles", US, "1m")),
        ("candles:AAPL:1M", Topic("candles", US, "1M")),
        ("BRK.B", Topic("orderbook", Symbol("US.BRK.B"))),
    ],
)
def test_a_pinned_topic_is_written_as_a_symbol_or_with_its_channel(text: str, topic: Topic) -> None:
    """A symbol alone stands for its book, in the default market."""
    assert pinned_of(Settings(futu_pinned=(text,))) == [topic]


def test_the_default_market_is_that_of_the_settings() -> None:
    """For symbols without one."""
    settings = from_keywords(default_market="HK", futu_pinned=("00700", "US.AAPL"))
    assert [topic.symbol for topic in pinned_of(settings)] == ["HK.00700", "US.AAPL"]


@pytest.mark.parametrize(
    "text",
    [
        "news:AAPL",
        "candles:AAPL",
        "candles:AAPL:7m",
        "quote:AAPL:odd",
        "orderbook:AAPL:even",
        "orderbook:",
        "US.",
        "quote:US.",
        "candles::1m",
        "candles:AAPL:1m:x",
        ":AAPL",
        "quote: AAPL",
    ],
)
def test_what_cannot_be_pinned_is_one_sentence(text: str) -> None:
    """It names the setting and what was written."""
    with pytest.raises(SettingError, match=r"^FUTU_PINNED has ") as raised:
        pinned_of(Settings(futu_pinned=(text,)))
    assert repr(text) in str(raised.value)


def test_without_a_file_there_is_no_key() -> None:
    """Nothing is encrypted then."""
    assert key_of(Settings()) is None


def test_the_key_is_read_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also below the home folder."""
    key = RSA.generate(1024)
    (tmp_path / "key").write_bytes(key.export_key())
    assert key_of(Settings(futu_rsa_key_file=str(tmp_path / "key"))) == key
    monkeypatch.setenv("HOME", str(tmp_path))
    assert key_of(Settings(futu_rsa_key_file="~/key")) == key


def test_a_key_that_is_none_keeps_the_feed_from_starting(tmp_path: Path) -> None:
    """At once, in one sentence."""
    with pytest.raises(StartupError, match="FUTU_RSA_KEY_FILE"):
        futu_feed(publish, Settings(futu_rsa_key_file=str(tmp_path / "none")))


def test_a_missing_package_keeps_the_feed_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence says what to install."""
    monkeypatch.setattr(schema, "find_spec", lambda _name: None)
    with pytest.raises(StartupError, match="pip install futu-api"):
        futu_feed(publish, Settings())


def test_the_feed_is_made_as_the_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every one of them counts."""
    made: dict[str, Any] = {}
    monkeypatch.setattr(factory, "FutuFeed", lambda _publish, **given: made.update(given))
    futu_feed(
        publish,
        Settings(
            futu_host="opend",
            futu_port=7,
            futu_pinned=("AAPL",),
            futu_session="extended",
            futu_security_firm="FUTUSG",
            futu_order_details=True,
            futu_linger_seconds=3.0,
            futu_min_subscription_seconds=4.0,
        ),
    )
    assert made == {
        "endpoints": [Endpoint("opend", 7)],
        "key": None,
        "pinned": [Topic("orderbook", US)],
        "session": 2,
        "detailed": True,
        "firm": 3,
        "linger_seconds": 3.0,
        "min_subscription_seconds": 4.0,
    }


def test_the_feed_can_be_made() -> None:
    """It starts nothing by itself."""
    feed = futu_feed(publish, Settings(futu_pinned=("AAPL",)))
    assert feed.status().state == "starting"
    assert feed.symbols() == (US,)


@pytest.mark.parametrize("host", ["127.0.0.1:11111", "opend:1", "a:b:c"])
def test_a_host_with_a_port_is_one_sentence(host: str) -> None:
    """The port has a setting of its own."""
    with pytest.raises(SettingError, match="FUTU_PORT has the port"):
        endpoints_of(from_keywords(futu_host=host))


def test_a_channel_without_a_symbol_is_no_pin() -> None:
    """Though it could be the code of one."""
    with pytest.raises(SettingError, match="FUTU_PINNED has 'quote'"):
        pinned_of(from_keywords(futu_pinned=("quote",)))


def test_what_opend_is_not_asked_for_is_no_pin() -> None:
    """Event contracts come from publishers."""
    with pytest.raises(SettingError, match=r"FUTU_PINNED has 'EC\.RAIN'; event contracts"):
        pinned_of(Settings(futu_pinned=("EC.RAIN",)))
    assert pinned_of(Settings(futu_pinned=("HK_FUTURE.HSImain",))) == [
        Topic("orderbook", Symbol("HK.HSImain"))
    ]
