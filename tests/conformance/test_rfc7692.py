"""RFC 7692, section 7: permessage-deflate, offered, agreed on and used."""

import random
import zlib

import pytest

from tests.conformance.conftest import DEFLATE, LIMIT
from tests.conformance.echo_server import echo_server
from tests.conformance.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    INVALID_DATA,
    NORMAL,
    PING,
    PONG,
    PROTOCOL_ERROR,
    RSV1,
    RSV2,
    TEXT,
    TOO_BIG,
    Heard,
    Wire,
    connection,
    deflated,
    frame,
    goodbye,
    inflated,
)

PROSE = b"what is said often is said briefly, " * 100
NOISE = random.Random(7692).randbytes(1000)


def parameters(extensions: str) -> set[str]:
    """Read what the server agreed to."""
    name, *agreed = [part.strip() for part in extensions.split(";")]
    assert name == "permessage-deflate"
    assert len(set(agreed)) == len(agreed)
    return set(agreed)


# 7.1: the offer


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=9",
        'permessage-deflate; client_max_window_bits="10"',
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; server_max_window_bits=15",
        "permessage-deflate ;server_no_context_takeover",
        "x-unknown, permessage-deflate",
        "x-unknown; x=y, permessage-deflate; client_max_window_bits, x-other",
    ],
)
async def test_an_offer_is_taken_up_and_a_message_compressed(port: int, offer: str) -> None:
    """The server's answer says that nobody remembers, and names nothing that wasn't offered."""
    async with connection(port, f"Sec-WebSocket-Extensions: {offer}") as wire:
        agreed = parameters(wire.extensions)
        assert {"server_no_context_takeover", "client_no_context_takeover"} <= agreed
        if "client_max_window_bits" not in offer:
            assert not any("client_max_window_bits" in part for part in agreed)
        wire.send(frame(TEXT, deflated(PROSE, bits=9), reserved=RSV1))
        heard = await wire.hear()
        assert heard.reserved == RSV1
        assert inflated(heard.payload) == PROSE


@pytest.mark.parametrize(
    "parameter",
    [
        "unknown",
        "unknown=1",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=015",
        "server_max_window_bits=x",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=08",
        "client_max_window_bits; client_max_window_bits",
        "server_no_context_takeover; server_no_context_takeover",
    ],
)
async def test_an_offer_with_a_wrong_parameter_is_declined(port: int, parameter: str) -> None:
    """Such a client gets its messages as they are, and must send its own so."""
    offer = f"Sec-WebSocket-Extensions: permessage-deflate; {parameter}"
    async with connection(port, offer) as wire:
        assert wire.extensions == ""
        await wire.alive()
        wire.send(frame(TEXT, PROSE))
        assert await wire.hear() == Heard(TEXT, PROSE)
        wire.send(frame(TEXT, deflated(PROSE), reserved=RSV1))
        await wire.refused(PROTOCOL_ERROR)


@pytest.mark.parametrize("bits", range(8, 15))
async def test_a_client_with_a_smaller_window_is_served_without_compression(
    port: int, bits: int
) -> None:
    """Frames are shared, and made for the full window."""
    offer = f"Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits={bits}"
    async with connection(port, offer) as wire:
        assert wire.extensions == ""
        await wire.alive()


@pytest.mark.parametrize(
    "wrong", ["server_max_window_bits=10", "unknown", "client_max_window_bits=1"]
)
@pytest.mark.parametrize("glue", [", ", "\r\nSec-WebSocket-Extensions: "])
async def test_the_first_offer_that_will_do_is_taken(port: int, wrong: str, glue: str) -> None:
    """Offers stand in the order of the client's preference, in one header or in several."""
    offers = glue.join([f"permessage-deflate; {wrong}", "permessage-deflate", "permessage-deflate"])
    async with connection(port, f"Sec-WebSocket-Extensions: {offers}") as wire:
        assert wire.extensions.count("permessage-deflate") == 1
        assert parameters(wire.extensions) == {
            "server_no_context_takeover",
            "client_no_context_takeover",
        }


# 7.2: messages


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_compressed_message_comes_back_compressed(deflating: Wire, opcode: int) -> None:
    """Each for itself, with the first reserved bit."""
    for _ in range(3):
        deflating.send(frame(opcode, deflated(PROSE), reserved=RSV1))
        heard = await deflating.hear()
        assert (heard.opcode, heard.reserved) == (opcode, RSV1)
        assert len(heard.payload) < len(PROSE) / 10
        assert inflated(heard.payload) == PROSE


async def test_a_message_may_go_uncompressed(deflating: Wire) -> None:
    """Before and after one that is compressed."""
    deflating.send(
        frame(TEXT, b"plain"),
        frame(TEXT, deflated(b"pressed"), reserved=RSV1),
        frame(TEXT, b"plain", fin=False),
        frame(CONTINUATION, b" in two"),
    )
    heard = [await deflating.hear() for _ in range(3)]
    assert [inflated(one.payload) if one.reserved else one.payload for one in heard] == [
        b"plain",
        b"pressed",
        b"plain in two",
    ]


async def test_what_compression_would_lengthen_comes_back_as_it_is(deflating: Wire) -> None:
    """Noise, one letter and nothing."""
    for message in (NOISE, b"x", b""):
        deflating.send(frame(BINARY, message))
        assert await deflating.hear() == Heard(BINARY, message)


async def test_small_messages_are_left_as_they_are_when_asked_for() -> None:
    """Compressing them costs more than it spares."""
    async with (
        echo_server(deflate_min_bytes=200) as server,
        connection(server.port, DEFLATE) as wire,
    ):
        for length, reserved in ((199, 0), (200, RSV1)):
            wire.send(frame(TEXT, b"x" * length))
            assert (await wire.hear()).reserved == reserved


@pytest.mark.parametrize("empty", [b"\x00", b"\x02\x00", b"\x03\x00"])
async def test_an_empty_message_may_be_compressed(deflating: Wire, empty: bytes) -> None:
    """As an empty block: stored, of fixed codes, or the last one."""
    deflating.send(frame(TEXT, empty, reserved=RSV1))
    assert await deflating.hear() == Heard(TEXT, b"")
    await deflating.alive()


@pytest.mark.parametrize("size", [1, 2, 7, 20])
async def test_a_compressed_message_may_be_cut_anywhere(deflating: Wire, size: int) -> None:
    """It is compressed as a whole; the first frame says so for all, and pings come between."""
    data = deflated(PROSE)
    parts = [data[begin : begin + size] for begin in range(0, len(data), size)]
    deflating.send(frame(TEXT, parts[0], fin=False, reserved=RSV1))
    for number, part in enumerate(parts[1:], 2):
        deflating.send(frame(PING, b"%d" % number))
        deflating.send(frame(CONTINUATION, part, fin=number == len(parts)))
    heard = await deflating.hear()
    while heard.opcode == PONG:
        heard = await deflating.hear()
    assert inflated(heard.payload) == PROSE


async def test_empty_fragments_of_a_compressed_message_count_for_nothing(deflating: Wire) -> None:
    """The first and the last as well."""
    deflating.send(
        frame(TEXT, b"", fin=False, reserved=RSV1),
        frame(CONTINUATION, deflated(PROSE), fin=False),
        frame(CONTINUATION, b""),
    )
    assert inflated((await deflating.hear()).payload) == PROSE


async def test_a_message_in_several_blocks_is_read(deflating: Wire) -> None:
    """Stored and compressed ones, flushed between."""
    stored, pressed = zlib.compressobj(0, wbits=-15), zlib.compressobj(9, wbits=-15)
    data = b"".join(
        compressor.compress(PROSE) + compressor.flush(zlib.Z_FULL_FLUSH)
        for compressor in (stored, pressed, stored)
    )
    deflating.send(frame(BINARY, data.removesuffix(b"\x00\x00\xff\xff"), reserved=RSV1))
    assert inflated((await deflating.hear()).payload) == PROSE * 3


async def test_a_message_may_end_with_a_last_block(deflating: Wire) -> None:
    """A compressor that ends its stream is to be understood, too."""
    data = deflated(PROSE, end=zlib.Z_FINISH)
    deflating.send(frame(TEXT, data, reserved=RSV1), frame(TEXT, data, reserved=RSV1))
    for _ in range(2):
        assert inflated((await deflating.hear()).payload) == PROSE


async def test_the_full_window_is_used_both_ways(deflating: Wire) -> None:
    """What repeats after 32 KiB still costs nothing."""
    message = random.Random(1951).randbytes(30_000) * 2
    deflating.send(frame(BINARY, deflated(message), reserved=RSV1))
    heard = await deflating.hear()
    assert inflated(heard.payload) == message
    assert len(heard.payload) < 32_000


async def test_a_message_that_remembers_the_one_before_ends_the_connection(
    deflating: Wire,
) -> None:
    """It was agreed that nobody does."""
    compressor = zlib.compressobj(wbits=-15)
    first, second = [
        (compressor.compress(NOISE) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4] for _ in range(2)
    ]
    deflating.send(frame(BINARY, first, reserved=RSV1))
    assert await deflating.hear() == Heard(BINARY, NOISE)
    deflating.send(frame(BINARY, second, reserved=RSV1))
    await deflating.refused(PROTOCOL_ERROR)


# Faults


@pytest.mark.parametrize("bits", [RSV1, RSV1 | RSV2, RSV2])
@pytest.mark.parametrize("compressed", [True, False])
async def test_reserved_bits_of_a_continuation_end_the_connection(
    deflating: Wire, bits: int, compressed: bool
) -> None:
    """Only a message's first frame may say that it is compressed."""
    data = deflated(PROSE) if compressed else PROSE
    deflating.send(
        frame(TEXT, data[:9], fin=False, reserved=RSV1 if compressed else 0),
        frame(CONTINUATION, data[9:], reserved=bits),
    )
    await deflating.refused(PROTOCOL_ERROR)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
async def test_control_frames_are_never_compressed(deflating: Wire, opcode: int) -> None:
    """The bit is as wrong there as ever."""
    deflating.send(frame(opcode, deflated(goodbye(NORMAL)), reserved=RSV1))
    await deflating.refused(PROTOCOL_ERROR)


@pytest.mark.parametrize("bits", [RSV2, RSV1 | RSV2])
async def test_other_reserved_bits_stay_wrong(deflating: Wire, bits: int) -> None:
    """The extension gives a meaning to one."""
    deflating.send(frame(TEXT, deflated(PROSE), reserved=bits))
    await deflating.refused(PROTOCOL_ERROR)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_new_message_inside_a_compressed_one_ends_the_connection(
    deflating: Wire, opcode: int
) -> None:
    """As it does without compression."""
    data = deflated(PROSE)
    deflating.send(
        frame(TEXT, data[:9], fin=False, reserved=RSV1), frame(opcode, data, reserved=RSV1)
    )
    await deflating.refused(PROTOCOL_ERROR)


async def test_a_goodbye_inside_a_compressed_message_is_a_goodbye(deflating: Wire) -> None:
    """As it is without compression."""
    deflating.send(
        frame(TEXT, deflated(PROSE)[:9], fin=False, reserved=RSV1),
        frame(CLOSE, goodbye(NORMAL)),
    )
    assert (await deflating.hear()).code == NORMAL
    await deflating.closed()


@pytest.mark.parametrize(
    "data",
    [
        b"\x07",  # a kind of block that there isn't
        b"\xff" * 50,
        b"\x01\x05\x00\x00\x00hello",  # a stored block whose length and its complement disagree
        NOISE,
    ],
)
@pytest.mark.parametrize("fragments", [1, 2])
async def test_what_is_no_deflate_data_ends_the_connection(
    deflating: Wire, data: bytes, fragments: int
) -> None:
    """And only that connection, with a code that says whose fault it is."""
    if fragments == 1:
        deflating.send(frame(BINARY, data, reserved=RSV1))
    else:
        deflating.send(
            frame(BINARY, data[:1], fin=False, reserved=RSV1), frame(CONTINUATION, data[1:])
        )
    assert (await deflating.hear()).code in {PROTOCOL_ERROR, INVALID_DATA}
    await deflating.closed()


@pytest.mark.parametrize("wrong", [b"\xff", "é".encode()[:1], b"\xed\xa0\x80"])
async def test_a_compressed_text_is_utf8_as_well(deflating: Wire, wrong: bytes) -> None:
    """It is judged by what it holds."""
    deflating.send(frame(TEXT, deflated(PROSE + wrong), reserved=RSV1))
    await deflating.refused(INVALID_DATA)


async def test_a_character_may_be_split_inside_a_compressed_text(deflating: Wire) -> None:
    """By its bytes, and by those of the compression."""
    text = "κόσμε 𝄞".encode()
    compressor = zlib.compressobj(wbits=-15)
    pieces = [
        compressor.compress(text[index : index + 1]) + compressor.flush(zlib.Z_SYNC_FLUSH)
        for index in range(len(text))
    ]
    pieces[-1] = pieces[-1].removesuffix(b"\x00\x00\xff\xff")
    deflating.send(frame(TEXT, pieces[0], fin=False, reserved=RSV1))
    deflating.send(*(frame(CONTINUATION, piece, fin=False) for piece in pieces[1:-1]))
    deflating.send(frame(CONTINUATION, pieces[-1]))
    assert await deflating.hear() == Heard(TEXT, text)


# What decompression may cost


async def test_a_bomb_is_refused_before_it_goes_off(deflating: Wire) -> None:
    """The limit holds for what comes out: 64 MiB out of 64 KB."""
    bomb = deflated(bytes(64 * 1024 * 1024))
    assert len(bomb) < LIMIT
    deflating.send(frame(BINARY, bomb, reserved=RSV1))
    await deflating.refused(TOO_BIG)


async def test_a_bomb_in_fragments_is_refused(deflating: Wire) -> None:
    """No fragment alone is too much."""
    compressor = zlib.compressobj(wbits=-15)
    pieces = [
        compressor.compress(bytes(LIMIT // 3)) + compressor.flush(zlib.Z_SYNC_FLUSH)
        for _ in range(4)
    ]
    deflating.send(
        frame(BINARY, pieces[0], fin=False, reserved=RSV1),
        *(frame(CONTINUATION, piece, fin=False) for piece in pieces[1:]),
    )
    await deflating.refused(TOO_BIG)


async def test_a_bomb_behind_a_full_message_is_refused(deflating: Wire) -> None:
    """No room is left: that is no reason to count no more."""
    compressor = zlib.compressobj(wbits=-15)
    full = compressor.compress(bytes(LIMIT)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    bomb = compressor.compress(bytes(1024 * LIMIT)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    deflating.send(
        frame(BINARY, full, fin=False, reserved=RSV1),
        frame(CONTINUATION, bomb),
    )
    await deflating.refused(TOO_BIG)


@pytest.mark.parametrize("over", [1, 2, 1000])
async def test_one_byte_over_the_limit_is_refused(deflating: Wire, over: int) -> None:
    """Compressed or not."""
    deflating.send(frame(BINARY, deflated(bytes(LIMIT + over)), reserved=RSV1))
    await deflating.refused(TOO_BIG)


@pytest.mark.parametrize(
    "message", [bytes(LIMIT), random.Random(1).randbytes(LIMIT)[:-100] + bytes(100)]
)
async def test_a_message_of_exactly_the_limit_is_taken(deflating: Wire, message: bytes) -> None:
    """Compressed as without."""
    deflating.send(frame(BINARY, deflated(message), reserved=RSV1))
    heard = await deflating.hear()
    assert inflated(heard.payload) == message
