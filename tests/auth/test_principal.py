import time
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from bookcast.auth.principal import (
    ANYONE,
    EVERYTHING,
    MAX_PATTERNS,
    NOTHING,
    Grant,
    Principal,
    Rights,
    Scope,
    anyone,
    read_grant,
    resolve,
)
from bookcast.model.topics import CHANNELS, Symbol, Topic
from tests.auth.keyring import refusal
from tests.support import AAPL, TRADES, TSLA


def rights(*grants: Grant, scope: str = "read") -> Rights:
    return resolve(grants, scope, "US")


def of_symbols(*patterns: str) -> Rights:
    return rights(Grant(symbols=patterns))


def matches(pattern: str, text: str) -> bool:
    """Match slowly and surely: what of the text can be left after each part of the pattern."""
    ends = {0}
    for part in pattern:
        if part == "*":
            ends = set(range(min(ends), len(text) + 1)) if ends else set()
        else:
            ends = {end + 1 for end in ends if end < len(text) and part in ("?", text[end])}
    return len(text) in ends


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"symbol": ["US.*"]}, "symbol"),
        ({"symbols": "US.*"}, "symbols: expected a list"),
        ({"symbols": [1]}, "symbols[0]: expected text"),
        ({"symbols": ["*"] * (MAX_PATTERNS + 1)}, "symbols"),
        ({"symbols": None}, "symbols"),
        ({"channels": ["books"]}, "there are orderbook, quote"),
        ({"channels": "trades"}, "there are orderbook, quote"),
        ({"max_depth": 0}, "max_depth"),
        ({"max_depth": -1}, "max_depth"),
        ({"max_depth": "5"}, "max_depth: expected a whole number or null"),
        ({"max_depth": True}, "max_depth"),
        ({"max_depth": 1.5}, "max_depth"),
        ({"min_interval_ms": -1}, "min_interval_ms"),
        ({"min_interval_ms": 3_600_001}, "min_interval_ms"),
        ({"max_subscriptions": -1}, "max_subscriptions"),
        ({"scope": ["read"]}, "scope: expected text"),
        ([], "the claim: expected an object"),
        (None, "the claim: expected an object"),
        ("read", "the claim: expected an object"),
    ],
)
def test_what_cant_be_meant_is_refused(said: Any, words: str) -> None:
    """With the place of the fault: a misspelled restriction must not be none at all."""
    error = refusal(read_grant, said, "the claim")
    assert error.code == "invalid_data"
    assert error.message.startswith("the claim")
    assert words in error.message


def test_a_grant_is_read() -> None:
    """What isn't said is left open."""
    said = {"symbols": ["US.*"], "channels": ["trades"], "max_depth": None, "min_interval_ms": 0}
    grant = read_grant(said, "the claim")
    assert grant == Grant(
        symbols=("US.*",), channels=("trades",), max_depth=None, min_interval_ms=0
    )
    assert grant.scope is UNSET
    assert grant.max_subscriptions is UNSET


FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "scope": st.sampled_from(["", "read", "publish admin", "read unknown"]),
    "symbols": st.lists(st.sampled_from(["US.*", "HK.00700"])).map(tuple),
    "channels": st.lists(st.sampled_from(CHANNELS)).map(tuple),
    "max_depth": st.none() | st.integers(1, 100),
    "min_interval_ms": st.integers(0, 1000),
    "max_subscriptions": st.none() | st.integers(0, 100),
}

GRANTS = st.builds(Grant, **{name: st.just(UNSET) | field for name, field in FIELDS.items()})


@given(st.lists(GRANTS, max_size=4))
def test_for_each_field_the_first_that_says_something_counts(grants: list[Grant]) -> None:
    """Independently of the others."""

    def first(field: str, default: Any) -> Any:
        said = [getattr(grant, field) for grant in grants]
        return next((value for value in said if value is not UNSET), default)

    channels = first("channels", None)
    assert rights(*grants, scope="publish") == Rights(
        scopes=frozenset(first("scope", "publish").split()) & {"read", "publish", "admin"},
        symbols=first("symbols", None),
        channels=None if channels is None else frozenset(channels),
        max_depth=first("max_depth", None),
        min_interval_ms=first("min_interval_ms", 0),
        max_subscriptions=first("max_subscriptions", None),
    )


def test_without_a_word_one_may_read_everything() -> None:
    """Or what is the custom there."""
    assert rights() == Rights(frozenset({"read"}))
    assert rights(scope="publish").scopes == {"publish"}


def test_those_with_the_same_rights_share_them() -> None:
    """Thousands of clients have the same."""
    assert rights(Grant(max_depth=7)) is rights(Grant(max_depth=7))


@pytest.mark.parametrize(
    ("pattern", "meant"),
    [
        ("*", "*"),
        ("AAPL", "US.AAPL"),
        ("US.AAPL", "US.AAPL"),
        ("HK.00700", "HK.00700"),
        ("HK.*", "HK.*"),
        ("*.AAPL", "*.AAPL"),
        ("?K.00700", "?K.00700"),
        ("BRK.B", "US.BRK.B"),
        ("A*", "US.A*"),
        ("HK_FUTURE.*", "HK_FUTURE.*"),
        ("HK_FUTURE.HSI????", "HK_FUTURE.HSI????"),
        ("HK_FUTURE.HSImain", "HK.HSImain"),
        ("us.aapl", "US.us.aapl"),
    ],
)
def test_a_pattern_without_a_market_is_of_the_default_one(pattern: str, meant: str) -> None:
    """As symbols are."""
    assert of_symbols(pattern).symbols == (meant,)


@pytest.mark.parametrize(
    ("patterns", "symbol", "allowed"),
    [
        (["*"], "HK.00700", True),
        (["US.*"], "US.AAPL", True),
        (["US.*"], "HK.00700", False),
        (["US.*"], "USXAAPL", False),
        (["AAPL"], "US.AAPL", True),
        (["AAPL"], "US.AAPLX", False),
        (["AAPL"], "HK.US.AAPL", False),
        (["HK.007??"], "HK.00700", True),
        (["HK.007??"], "HK.0070", False),
        (["HK.0070", "HK.00700"], "HK.00700", True),
        (["US.[A-Z]*"], "US.AAPL", False),
        (["US.A|US.B"], "US.B", False),
        (["US.A+"], "US.AA", False),
        (["US.AAPL$"], "US.AAPL", False),
        (["us.*"], "US.AAPL", False),
        (["HK_FUTURE.*"], "HK.HSImain", True),
        (["HK_FUTURE.HSI*"], "HK.HSI2512", True),
        (["HK_FUTURE.HSI*"], "HK.MHImain", False),
        (["HK_FUTURE.HSImain"], "HK.HSImain", True),
        (["HK*.HSImain"], "HK.HSImain", True),
        (["*_FUTURE.*"], "HK.HSImain", True),
        (["HK.*"], "HK.HSImain", True),
        (["HK_FUTURE.*"], "HK.00700", False),
        (["HK_FUTURE.*"], "HK.800000", False),
        (["HK_FUTURE.*"], "HK.TCH260929C350000", False),
        (["HK_FUTURE.*"], "US.ESmain", False),
        ([""], "US.AAPL", False),
        ([], "US.AAPL", False),
    ],
)
def test_patterns_know_two_signs_only(patterns: list[str], symbol: str, allowed: bool) -> None:
    """A star for any text, a question mark for one sign; all others stand for themselves."""
    assert of_symbols(*patterns).allows_symbol(Symbol(symbol)) is allowed


PATTERN_SIGNS = st.sampled_from("AB.*?*?|[]()\\^$+{}é")


@given(
    st.lists(st.text(PATTERN_SIGNS, max_size=10).map("US.".__add__), max_size=4),
    st.text(st.sampled_from("AB.|[]()\\^$+{}é"), max_size=10).map("US.".__add__),
)
@example(["US.\\*"], "US.\\A")
@example(["US..*"], "US..A")
@example(["US.***?"], "US.A")
def test_a_symbol_is_allowed_when_a_pattern_matches(patterns: list[str], symbol: str) -> None:
    """As somebody would find out sign by sign."""
    expected = any(matches(pattern, symbol) for pattern in patterns)
    assert of_symbols(*patterns).allows_symbol(Symbol(symbol)) is expected


@pytest.mark.parametrize("part", ["*a", "?*a", "*a*", "*?", "*a?"])
def test_no_pattern_takes_long(part: str) -> None:
    """However many stars, and however near the symbol comes."""
    granted = of_symbols(f"US.{part * 6}*b")
    granted.allows_symbol(Symbol("US.A"))  # reads the pattern
    began = time.process_time()
    assert not granted.allows_symbol(Symbol("US." + "a" * 60))
    assert time.process_time() - began < 1


def test_many_patterns_are_no_burden() -> None:
    """As many as there may be."""
    granted = of_symbols(*(f"US.S{number:05}" for number in range(MAX_PATTERNS)))
    assert granted.allows_symbol(Symbol("US.S09999"))
    assert not granted.allows_symbol(Symbol("US.S10000"))


def test_a_missing_right_is_named() -> None:
    """The scope, the channel or the symbol."""
    granted = rights(Grant(symbols=("AAPL",), channels=("orderbook",)))
    granted.check("read")
    granted.check("read", AAPL)
    assert granted.allows("read", AAPL)
    for scope, topic, path, word in (
        ("publish", AAPL, "", "'publish'"),
        ("admin", None, "", "'admin'"),
        ("read", TRADES, "channel", "trades"),
        ("read", TSLA, "symbol", "US.TSLA"),
    ):
        error = refusal(granted.check, scope, topic)
        assert (error.code, error.path) == ("forbidden", path)
        assert word in error.message
    assert not granted.allows("read", TSLA)


@pytest.mark.parametrize("scope", ["read", "publish", "admin"])
def test_some_have_all_rights_and_some_none(scope: Scope) -> None:
    """Everything, and nothing."""
    topic = Topic("candles", Symbol("HK.00700"), "1m")
    assert EVERYTHING.allows(scope, topic)
    assert not NOTHING.allows(scope, topic)


def test_no_channel_at_all_can_be_granted() -> None:
    """An empty list is a list."""
    granted = rights(Grant(channels=()))
    assert not any(granted.allows("read", Topic(channel, AAPL.symbol)) for channel in CHANNELS)


@pytest.mark.parametrize(
    ("most", "asked", "given_"),
    [(None, None, None), (None, 5, 5), (10, None, 10), (10, 5, 5), (10, 50, 10)],
)
def test_a_view_is_no_deeper_than_its_right(
    most: int | None, asked: int | None, given_: int | None
) -> None:
    """Who asks for all gets what there may be."""
    assert Rights(max_depth=most).depth(asked) == given_


KINDS = st.sampled_from(["jwt", "key", "user", ANYONE])


@given(KINDS, st.text(), KINDS, st.text())
@example("jwt", "x", "key", "x")
@example("jwt", "key:x", "key", "x")
def test_two_principals_never_have_one_id(kind: str, name: str, kind_2: str, name_2: str) -> None:
    """However they are called, and however they were recognised."""
    one, other = Principal(kind, name, NOTHING), Principal(kind_2, name_2, EVERYTHING)
    assert (one.id == other.id) is ((kind, name) == (kind_2, name_2))


def test_who_isnt_asked_is_anyone() -> None:
    """They are all one, with the rights of the house."""
    assert anyone().rights == EVERYTHING
    assert anyone(NOTHING).rights == NOTHING
    assert anyone().kind == ANYONE
    assert anyone().expires_at is None


def test_a_grant_is_written_without_what_it_leaves_open() -> None:
    """So that a file has only what was said."""
    assert msgspec.to_builtins(Grant(scope="read", max_depth=None)) == {
        "scope": "read",
        "max_depth": None,
    }
