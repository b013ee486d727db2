"""Keys under which publishers may send something again."""

from __future__ import annotations

import pytest

from bookcast.errors import InvalidInput
from bookcast.ingest.idempotency_keys import once
from bookcast.model.topics import Topic
from bookcast.model.updates import Idempotency
from tests.support import AAPL, TRADES


def of(
    key: str = "k", principal: str = "p", topic: Topic = AAPL, source: object = b'{"a":1,"b":2}'
) -> Idempotency:
    return once(key, principal, topic, source, path="idempotency_key")


def test_a_key_is_its_principals_own_and_a_topics() -> None:
    """Nobody finds what somebody else has published."""
    keys = {
        of().key,
        of("other").key,
        of(principal="other").key,
        of(topic=TRADES).key,
        of(topic=AAPL._replace(variant="odd")).key,
    }
    assert len(keys) == 5
    assert of() == of()


@pytest.mark.parametrize(
    "same", [b'{"a":1,"b":2}', b'{ "b": 2,\n"a": 1 }', {"b": 2, "a": 1}, b'{"a":1,"\\u0062":2}']
)
def test_how_data_are_written_makes_them_nothing_else(same: object) -> None:
    """Spaces, and in what order fields come."""
    assert of(source=same) == of()


@pytest.mark.parametrize(
    "other", [b'{"a":1,"b":3}', b'{"a":1}', b'{"a":1,"b":"2"}', b"[1,2]", {"a": 1, "b": 2, "c": 3}]
)
def test_other_data_are_something_else(other: object) -> None:
    """Under the same key."""
    assert of(source=other).content != of().content
    assert of(source=other).key == of().key


@pytest.mark.parametrize("key", ["x", "x" * 128, "漢" * 128, " ", "\0", "a:b\tc"])
def test_a_key_may_be_any_text_of_its_length(key: str) -> None:
    """It is never read, only compared."""
    assert len(of(key).key) == 16


@pytest.mark.parametrize("key", ["", "x" * 129, "漢" * 129])
def test_a_key_of_another_length_is_refused(key: str) -> None:
    """The error names it, and how long it may be."""
    with pytest.raises(InvalidInput, match="1 to 128 characters") as caught:
        of(key)
    assert (caught.value.code, caught.value.path) == ("invalid_message", "idempotency_key")
