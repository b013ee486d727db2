import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import NegotiationError
from websockets.extensions.base import Extension
from websockets.frames import Frame
from websockets.streams import StreamReader
from websockets.typing import ExtensionName

from bookcast.transport.frames import Framer, SharedDeflate


def test_a_frame_is_finished_and_unmasked() -> None:
    """It can be written to any number of sockets."""
    frame = Framer()(b"x" * 300, False)
    assert frame[:2] == bytes([0x81, 126])  # the length follows in two bytes
    assert int.from_bytes(frame[2:4], "big") == len(frame) - 4 == 300


def test_only_long_messages_are_compressed_and_only_for_who_can_take_it() -> None:
    """Nor those that it would make longer."""
    assert Framer(0)(b"x" * 100, False)[:2] == bytes([0x81, 100])
    packed = Framer(0)(b"x" * 100, True)
    assert packed[0] == 0xC1
    assert len(packed) < 20
    assert Framer(101)(b"x" * 100, True)[0] == 0x81
    assert Framer(0)(b"ab", True) == b"\x81\x02ab"


@given(st.lists(st.binary(min_size=1, max_size=400), min_size=1))
def test_each_compressed_frame_stands_for_itself(texts: list[bytes]) -> None:
    """A reader that begins anew with each finds what was written."""
    framer = Framer(0)
    for text in texts:
        reader = StreamReader()
        reader.feed_data(framer(text, True))
        parsing = Frame.parse(reader.read_exact, mask=False, extensions=[_Unpack()])
        with pytest.raises(StopIteration) as parsed:
            next(parsing)
        assert bytes(parsed.value.value.data) == text


class _Unpack(Extension):
    """What a client does with a frame that is marked as compressed."""

    name = ExtensionName("permessage-deflate")

    def encode(self, frame: Frame) -> Frame:
        return frame

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        if not frame.rsv1:
            return frame
        unpacked = zlib.decompressobj(wbits=-15).decompress(bytes(frame.data) + b"\0\0\xff\xff")
        return Frame(frame.opcode, unpacked, frame.fin)


def test_a_smaller_window_cannot_be_shared() -> None:
    """Such an offer is declined; the full one is accepted, without memory from frame to frame."""
    with pytest.raises(NegotiationError):
        SharedDeflate().process_request_params([("server_max_window_bits", "10")], [])
    accepted, _ = SharedDeflate().process_request_params([("server_max_window_bits", "15")], [])
    assert ("server_no_context_takeover", None) in accepted
