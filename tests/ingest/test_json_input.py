import msgspec
import pytest

from bookcast.errors import InvalidInput
from bookcast.ingest.json_input import read
from bookcast.protocol.base import messages


def test_what_cannot_be_read_is_refused_with_the_place_of_the_fault() -> None:
    """Text that isn't JSON at all has a code of its own."""
    decoder = msgspec.json.Decoder(messages.Subscribe)
    assert read(decoder, b'{"action":"subscribe","symbol":"A"}', "c", "It").symbol == "A"
    for source, code, path in (
        (b"{'symbol':1}", "invalid_json", ""),
        (b'{"action":"subscribe","symbol":NaN}', "c", "symbol"),
        ({"action": "subscribe", "symbol": 1}, "c", "symbol"),
    ):
        with pytest.raises(InvalidInput) as caught:
            read(decoder, source, code if code == "c" else "x", "It")
        assert (caught.value.code, caught.value.path) == (code, path)
