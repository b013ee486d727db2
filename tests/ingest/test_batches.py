import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bookcast.errors import InvalidInput
from bookcast.ingest.batches import decode_batch
from bookcast.ingest.schemas import PublishedUpdate

GOOD = '{"channel":"quote","symbol":"A","data":{"last":1.10}}'


def batch(*updates: str) -> bytes:
    return f'{{"note":[1,{{}}], "updates":[ {" , ".join(updates)} ], "z":"]"}}'.encode()


def refused(text: str) -> InvalidInput:
    """Return what is wrong with an update between two good ones, which are read as ever."""
    first, fault, last = decode_batch(batch(GOOD, text, GOOD))
    assert first == last
    assert isinstance(first, PublishedUpdate)
    assert first.data == msgspec.Raw(b'{"last":1.10}')
    assert isinstance(fault, InvalidInput)
    return fault


def test_a_batch_is_read_update_by_update() -> None:
    """Their data are left as they are."""
    [first, second] = decode_batch(
        batch(GOOD, '{"channel":"candles","symbol":"B","data":5,"period":"1m"}')
    )
    assert isinstance(first, PublishedUpdate)
    assert (first.channel, first.symbol) == ("quote", "A")
    assert isinstance(second, PublishedUpdate)
    assert second.period == "1m"


@pytest.mark.parametrize(
    ("text", "path", "sentence"),
    [
        ('{"channel":"quote","symbol":"B"}', "data", "data is missing"),
        ('{"symbol":"B","data":{}}', "channel", "channel is missing"),
        ('{"channel":7,"symbol":"B","data":{}}', "channel", "it is one of orderbook, quote"),
        ('{"channel":"candles","symbol":"B","data":{},"period":1}', "period", "one of 1m, 3m"),
        ('{"channel":"quote","symbol":["B"],"data":{}}', "symbol", "expected text or null"),
        ("5", "", "The update: expected an object, got a whole number"),
        ("null", "", "The update: expected an object"),
        ('[{"channel":"quote"}]', "", "The update: expected an object, got a list"),
        ('{"channel":"quote","symbol":"B","data":{"last":NaN}}', "data.last", "NaN"),
        ('{"channel":"quote","symbol":"B","data":{"\\ud800":NaN}}', "data.?", "NaN"),
        ('{"channel":"quote","symbol":"B","data":{"last":-Infinity}}', "data.last", "infinities"),
    ],
)
def test_one_that_cant_be_read_names_itself_and_spoils_no_other(
    text: str, path: str, sentence: str
) -> None:
    """With the path within it, and its symbol where it tells one."""
    fault = refused(text)
    assert (fault.code, fault.path) == ("invalid_data", path)
    assert sentence in fault.message
    assert fault.symbol == ("B" if '"symbol":"B"' in text else None)


def test_several_faults_of_different_kinds_are_each_told() -> None:
    """Also where what isn't JSON stands behind what isn't an update, or before it."""
    nan = '{"channel":"quote","symbol":"B","data":{"last":NaN}}'
    for updates in ([nan, "5", GOOD], ["5", nan, GOOD], [GOOD, "5", nan]):
        outcomes = decode_batch(batch(*updates))
        assert [isinstance(one, InvalidInput) for one in outcomes] == [
            update != GOOD for update in updates
        ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b'{"updates":[5,', "invalid_json"),
        (b'{"updates":[5,{"channel":"quote"} {}]}', "invalid_json"),
        (b'{"updates":[{"channel":"quote","data":{"last":NaN}},]}', "invalid_json"),
        (b'{"updates":5}', "invalid_data"),
        (b"[]", "invalid_data"),
        (b'{"updates":[5,' + b"[" * 100_000, "invalid_json"),
        (b'{"updates":[5,"\xff"]}', "invalid_json"),
    ],
)
def test_what_is_no_batch_is_refused_as_a_whole(text: bytes, code: str) -> None:
    """There is nothing to publish."""
    with pytest.raises(InvalidInput) as caught:
        decode_batch(text)
    assert caught.value.code == code


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=5), st.sampled_from([None, 1]))
def test_each_update_of_any_batch_gets_an_outcome(updates: list[Any], indent: int | None) -> None:
    """In its place, whatever stands there."""
    text = json.dumps({"note": {"updates": [1]}, "updates": updates}, indent=indent)
    assert len(decode_batch(text.encode())) == len(updates)
