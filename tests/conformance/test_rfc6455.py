"""RFC 6455, sections 5, 7 and 8.1: frames, messages, goodbyes and texts, as a server meets them."""

import asyncio

import pytest

from tests.conformance.conftest import LIMIT
from tests.conformance.echo_server import echo_server
from tests.conformance.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    INVALID_DATA,
    KEY,
    NORMAL,
    PING,
    PONG,
    PROTOCOL_ERROR,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    TOO_BIG,
    Heard,
    Wire,
    connection,
    frame,
    goodbye,
)

GREEK = "κόσμε 𝄞".encode()

# 5.2: the frame


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536])
async def test_messages_of_every_length_come_back(wire: Wire, opcode: int, length: int) -> None:
    """Lengths are written in 7, 16 or 64 bits, and the shortest that will do comes back."""
    message = (b"0123456789" * (length // 10 + 1))[:length]
    wire.send(frame(opcode, message))
    assert await wire.hear() == Heard(opcode, message)


@pytest.mark.parametrize(("length_bytes", "length"), [(2, 5), (8, 5), (8, 126)])
async def test_a_length_written_longer_than_needed_is_taken_as_it_is(
    wire: Wire, length_bytes: int, length: int
) -> None:
    """The RFC asks senders to be brief, and receivers to do nothing about it."""
    message = b"x" * length
    wire.send(frame(TEXT, message, length_bytes=length_bytes))
    assert await wire.hear() == Heard(TEXT, message)


@pytest.mark.parametrize("first", [0x80, 0xFF])
async def test_a_length_with_the_highest_bit_set_ends_the_connection(
    wire: Wire, first: int
) -> None:
    """The bit must be 0; nothing of such a length is waited for."""
    wire.send(bytes([0x82, 0xFF, first, 0, 0, 0, 0, 0, 0, 1]) + bytes(4) + b"x")
    assert (await wire.hear()).code in {PROTOCOL_ERROR, TOO_BIG}
    await wire.closed()


async def test_an_announced_message_that_is_too_long_is_refused_before_it_comes(
    wire: Wire,
) -> None:
    """A head is enough."""
    wire.send(frame(BINARY, b"x" * (LIMIT + 1))[:10])
    await wire.refused(TOO_BIG)


async def test_every_reserved_bit_is_refused_when_no_extension_gives_it_a_meaning(
    port: int,
) -> None:
    """In each kind of frame."""
    for opcode in (TEXT, BINARY, PING, PONG, CLOSE):
        for bits in (RSV1, RSV2, RSV3, RSV1 | RSV2 | RSV3):
            async with connection(port) as wire:
                wire.send(frame(opcode, reserved=bits))
                await wire.refused(PROTOCOL_ERROR)


async def test_a_reserved_bit_of_a_continuation_is_refused(port: int) -> None:
    """The message it belongs to is lost."""
    for bits in (RSV1, RSV2, RSV3):
        async with connection(port) as wire:
            wire.send(frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"b", reserved=bits))
            await wire.refused(PROTOCOL_ERROR)


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
async def test_a_reserved_opcode_ends_the_connection(wire: Wire, opcode: int) -> None:
    """Whatever it will mean one day."""
    wire.send(frame(opcode, b"x"))
    await wire.refused(PROTOCOL_ERROR)


async def test_what_was_said_before_a_fault_is_answered_before_the_goodbye(wire: Wire) -> None:
    """And what is said after it is not."""
    wire.send(frame(TEXT, b"before"), frame(7, b"x"), frame(TEXT, b"after"))
    assert await wire.hear() == Heard(TEXT, b"before")
    await wire.refused(PROTOCOL_ERROR)


# 5.3 and 5.1: masks


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 125, 126, 40_000])
async def test_a_masked_message_is_unmasked(wire: Wire, length: int) -> None:
    """Byte by byte with the key's four bytes in turn, whatever the length."""
    message = (bytes(range(256)) * (length // 256 + 1))[:length]
    wire.send(frame(BINARY, message, key=KEY))
    assert await wire.hear() == Heard(BINARY, message)


async def test_every_frame_has_a_key_of_its_own(wire: Wire) -> None:
    """Fragments and what comes between them."""
    wire.send(
        frame(TEXT, b"one ", fin=False, key=KEY),
        frame(PING, b"two", key=KEY[::-1]),
        frame(CONTINUATION, b"three", key=b"\x00\xff\x00\xff"),
    )
    assert {await wire.hear(), await wire.hear()} == {
        Heard(PONG, b"two"),
        Heard(TEXT, b"one three"),
    }


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
async def test_an_unmasked_frame_of_a_client_ends_the_connection(wire: Wire, opcode: int) -> None:
    """A server must not take it."""
    wire.send(bytes([0x80 | opcode, 2]) + goodbye(NORMAL))
    await wire.refused(PROTOCOL_ERROR)


# 5.4: fragments


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_fragments_are_one_message_of_the_first_ones_kind(wire: Wire, opcode: int) -> None:
    """Empty ones among them, at the begin, between and at the end."""
    for parts in ([b"a", b"b"], [b"", b"a", b""], [b"", b"", b""], [b"x" * 30_000, b"y" * 30_000]):
        first, *middle, last = parts
        wire.send(
            frame(opcode, first, fin=False),
            *(frame(CONTINUATION, part, fin=False) for part in middle),
            frame(CONTINUATION, last),
        )
        assert await wire.hear() == Heard(opcode, b"".join(parts))


async def test_a_ping_between_fragments_is_answered_at_once(wire: Wire) -> None:
    """Before the message is whole."""
    wire.send(frame(TEXT, b"one ", fin=False), frame(PING, b"?"))
    assert await wire.hear() == Heard(PONG, b"?")
    wire.send(frame(PONG, b"nobody asked"), frame(CONTINUATION, b"message"))
    assert await wire.hear() == Heard(TEXT, b"one message")


async def test_a_pong_is_not_behind_the_message_that_came_with_its_ping(wire: Wire) -> None:
    """It goes out as soon as it can, also when all arrived together."""
    wire.send(frame(TEXT, b"one ", fin=False), frame(PING, b"?"), frame(CONTINUATION, b"message"))
    assert await wire.hear() == Heard(PONG, b"?")
    assert await wire.hear() == Heard(TEXT, b"one message")


async def test_a_ping_fits_between_fragments_that_leave_no_room(wire: Wire) -> None:
    """Its bytes are none of the message's."""
    wire.send(frame(BINARY, b"x" * LIMIT, fin=False), frame(PING, b"?" * 125))
    assert await wire.hear() == Heard(PONG, b"?" * 125)
    wire.send(frame(CONTINUATION, b""))
    assert await wire.hear() == Heard(BINARY, b"x" * LIMIT)


@pytest.mark.parametrize("fin", [True, False])
async def test_a_continuation_of_nothing_ends_the_connection(wire: Wire, fin: bool) -> None:
    """There has to be something to go on with."""
    wire.send(frame(CONTINUATION, b"x", fin=fin))
    await wire.refused(PROTOCOL_ERROR)


async def test_a_continuation_after_the_last_one_ends_the_connection(wire: Wire) -> None:
    """A message that is whole can't go on."""
    wire.send(frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"b"), frame(CONTINUATION, b"c"))
    assert await wire.hear() == Heard(TEXT, b"ab")
    await wire.refused(PROTOCOL_ERROR)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [True, False])
async def test_a_new_message_inside_another_ends_the_connection(
    wire: Wire, opcode: int, fin: bool
) -> None:
    """Messages are not interleaved."""
    wire.send(frame(TEXT, b"a", fin=False), frame(opcode, b"b", fin=fin))
    await wire.refused(PROTOCOL_ERROR)


async def test_fragments_together_are_no_longer_than_a_message_may_be(wire: Wire) -> None:
    """However small each is."""
    half = b"x" * (LIMIT // 2)
    wire.send(
        frame(BINARY, half, fin=False),
        frame(CONTINUATION, half, fin=False),
        frame(CONTINUATION, b"x"),
    )
    await wire.refused(TOO_BIG)


async def test_the_next_message_has_all_the_room_again(wire: Wire) -> None:
    """Fragments of an earlier one don't count."""
    for opcode in (BINARY, TEXT):
        wire.send(frame(opcode, b"x" * (LIMIT - 1), fin=False), frame(CONTINUATION, b"x"))
        assert len((await wire.hear()).payload) == LIMIT


async def test_a_flood_of_empty_fragments_ends() -> None:
    """They cost memory all the same."""
    async with echo_server(max_fragments=10) as server, connection(server.port) as wire:
        wire.send(
            frame(TEXT, fin=False), *[frame(CONTINUATION, fin=False)] * 8, frame(CONTINUATION)
        )
        assert await wire.hear() == Heard(TEXT, b"")
        wire.send(frame(TEXT, fin=False), *[frame(CONTINUATION, fin=False)] * 10)
        await wire.refused(1008)


# 5.5: control frames


@pytest.mark.parametrize("payload", [b"", b"?", bytes(range(125)), b"\xff\xfe"])
async def test_a_ping_comes_back_as_a_pong(wire: Wire, payload: bytes) -> None:
    """With all it held, text or not."""
    wire.send(frame(PING, payload, key=KEY))
    assert await wire.hear() == Heard(PONG, payload)


async def test_pings_are_answered_in_order(wire: Wire) -> None:
    """Each of them."""
    wire.send(*(frame(PING, str(number).encode()) for number in range(20)))
    answers = [(await wire.hear()).payload for _ in range(20)]
    assert answers == [str(number).encode() for number in range(20)]


async def test_a_pong_that_nobody_asked_for_is_fine(wire: Wire) -> None:
    """And is not answered."""
    wire.send(frame(PONG), frame(PONG, b"hello"))
    await wire.alive()


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
async def test_a_control_frame_holds_no_more_than_125_bytes(wire: Wire, opcode: int) -> None:
    """One more ends the connection."""
    wire.send(frame(opcode, goodbye(NORMAL, b"x" * 124)))
    await wire.refused(PROTOCOL_ERROR)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
async def test_a_control_frame_comes_in_one_piece(wire: Wire, opcode: int) -> None:
    """A fragment ends the connection."""
    wire.send(frame(opcode, goodbye(NORMAL), fin=False))
    await wire.refused(PROTOCOL_ERROR)


# 5.5.1 and 7: goodbyes


@pytest.mark.parametrize(
    "code",
    [
        *(1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011),
        *(3000, 3999, 4000, 4999),
    ],
)
async def test_a_goodbye_is_answered_with_its_own_code(wire: Wire, code: int) -> None:
    """With every code that may be on the wire, and then the server hangs up first."""
    wire.send(frame(CLOSE, goodbye(code, "tschüß".encode())))
    assert (await wire.hear()).code == code
    await wire.closed()


async def test_a_goodbye_without_a_code_is_answered(wire: Wire) -> None:
    """With none either."""
    wire.send(frame(CLOSE))
    assert await wire.hear() == Heard(CLOSE, b"")
    await wire.closed()


async def test_the_longest_reason_is_fine(wire: Wire) -> None:
    """Of 123 bytes."""
    wire.send(frame(CLOSE, goodbye(NORMAL, b"x" * 123)))
    assert (await wire.hear()).code == NORMAL
    await wire.closed()


@pytest.mark.parametrize(
    "code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
)
async def test_a_code_that_must_not_be_sent_is_a_fault(wire: Wire, code: int) -> None:
    """Reserved ones, and those that nobody has given a meaning."""
    wire.send(frame(CLOSE, goodbye(code)))
    await wire.refused(PROTOCOL_ERROR)


async def test_half_a_code_is_a_fault(wire: Wire) -> None:
    """A body, when there is one, begins with two bytes of code."""
    wire.send(frame(CLOSE, b"\x03"))
    await wire.refused(PROTOCOL_ERROR)


@pytest.mark.parametrize("reason", [b"\xff", GREEK[:-1], b"\xed\xa0\x80"])
async def test_a_reason_that_is_no_text_is_a_fault(wire: Wire, reason: bytes) -> None:
    """It is UTF-8, and ends with the frame."""
    wire.send(frame(CLOSE, goodbye(NORMAL, reason)))
    await wire.refused(INVALID_DATA)


async def test_what_was_said_before_a_goodbye_is_answered_before_it(wire: Wire) -> None:
    """And after it nothing counts, not even faults."""
    wire.send(
        frame(TEXT, b"first"),
        frame(PING, b"second"),
        frame(CLOSE, goodbye(NORMAL)),
        frame(PING, b"third"),
        frame(7),
    )
    assert {await wire.hear(), await wire.hear()} == {Heard(TEXT, b"first"), Heard(PONG, b"second")}
    assert (await wire.hear()).code == NORMAL
    await wire.closed()


@pytest.mark.parametrize("together", [True, False])
async def test_a_goodbye_inside_a_message_is_a_goodbye(wire: Wire, together: bool) -> None:
    """Control frames may come between fragments; the message is never whole, and nobody's fault."""
    wire.send(frame(TEXT, b"never", fin=False))
    if not together:
        await asyncio.sleep(0.01)
    wire.send(frame(CLOSE, goodbye(NORMAL)), frame(CONTINUATION, b"whole"))
    assert (await wire.hear()).code == NORMAL
    await wire.closed()


async def test_a_wrong_goodbye_inside_a_message_is_still_a_fault(wire: Wire) -> None:
    """Its code counts there as well."""
    wire.send(frame(TEXT, b"never", fin=False), frame(CLOSE, goodbye(1005)))
    await wire.refused(PROTOCOL_ERROR)


async def test_a_server_hangs_up_soon_on_who_does_not_answer_its_goodbye(wire: Wire) -> None:
    """Nobody has to wait for a client that is gone."""
    wire.send(frame(TEXT, b"\xff"))
    assert (await wire.hear()).code == INVALID_DATA
    async with asyncio.timeout(5):
        try:
            await wire.closed()
        except ConnectionResetError:
            return


async def test_a_client_that_is_gone_in_the_middle_of_a_frame_harms_nobody(port: int) -> None:
    """Whatever it left."""
    whole = frame(TEXT, b"never whole", key=KEY)
    for length in range(len(whole)):
        async with connection(port) as wire:
            wire.send(whole[:length])
    async with connection(port) as wire:
        await wire.alive()


# 8.1 and 5.6: texts


@pytest.mark.parametrize(
    "text",
    [
        GREEK,
        b"\x00",
        "\x7f\x80\u07ff\u0800\ud7ff\ue000\ufffd\uffff\U00010000\U0010ffff".encode(),
        "\ufeffbom".encode(),
        "\ufdd0\U0001fffe".encode(),
    ],
)
async def test_every_character_comes_back(port: int, text: bytes) -> None:
    """Those at the edges of each length, in one frame and split anywhere."""
    async with connection(port) as wire:
        wire.send(frame(TEXT, text, key=KEY))
        assert await wire.hear() == Heard(TEXT, text)
        for cut in range(len(text) + 1):
            wire.send(frame(TEXT, text[:cut], fin=False), frame(CONTINUATION, text[cut:]))
            assert await wire.hear() == Heard(TEXT, text)
        *most, last = [text[index : index + 1] for index in range(len(text))]
        wire.send(frame(TEXT, fin=False), *(frame(CONTINUATION, one, fin=False) for one in most))
        wire.send(frame(CONTINUATION, last))
        assert await wire.hear() == Heard(TEXT, text)


INVALID = {
    "a continuation alone": b"\x80",
    "an end that is missing": b"\xe2\x82",
    "an ASCII byte instead of the end": b"\xe2\x82A",
    "a slash in two bytes": b"\xc0\xaf",
    "a slash in three": b"\xe0\x80\xaf",
    "a slash in four": b"\xf0\x80\x80\xaf",
    "the first surrogate": b"\xed\xa0\x80",
    "the last surrogate": b"\xed\xbf\xbf",
    "one past the last character": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "six bytes": b"\xfc\x84\x80\x80\x80\x80",
    "a byte that is never used": b"\xfe",
    "another": b"\xff",
}


@pytest.mark.parametrize("wrong", INVALID.values(), ids=INVALID)
async def test_a_text_that_is_no_utf8_ends_the_connection(port: int, wrong: bytes) -> None:
    """At its begin, within and at its end, whole and in fragments of a byte."""
    for text in (wrong, b"before " + wrong, b"before " + wrong + b" after", wrong + GREEK):
        async with connection(port) as wire:
            wire.send(frame(TEXT, text))
            await wire.refused(INVALID_DATA)
        first, *others = [text[index : index + 1] for index in range(len(text))]
        async with connection(port) as wire:
            wire.send(
                frame(TEXT, first, fin=False),
                *(frame(CONTINUATION, one, fin=False) for one in others),
                frame(CONTINUATION),
            )
            await wire.refused(INVALID_DATA)


async def test_a_fault_in_a_text_is_met_before_the_text_is_whole(port: int) -> None:
    """The fragment that holds it is the last that is waited for."""
    for first, second in ((GREEK, b"\xff"), (GREEK + b"\xf4", b"\x90")):
        async with connection(port) as wire:
            wire.send(frame(TEXT, first, fin=False))
            wire.send(frame(PING))
            assert (await wire.hear()).opcode == PONG
            wire.send(frame(CONTINUATION, second, fin=False))
            await wire.refused(INVALID_DATA)


async def test_half_a_character_does_not_wait_for_the_next_message(wire: Wire) -> None:
    """A binary message may hold what it likes; the text after it begins anew."""
    wire.send(
        frame(BINARY, b"\xe2", fin=False),
        frame(CONTINUATION, b"\xff\x82"),
        frame(TEXT, b"a", fin=False),
        frame(CONTINUATION, b"b"),
        frame(BINARY, b"\xe2\x82"),
        frame(TEXT, GREEK),
    )
    assert await wire.hear() == Heard(BINARY, b"\xe2\xff\x82")
    assert await wire.hear() == Heard(TEXT, b"ab")
    assert await wire.hear() == Heard(BINARY, b"\xe2\x82")
    assert await wire.hear() == Heard(TEXT, GREEK)


# However the bytes arrive


async def test_frames_that_come_byte_by_byte_are_the_same(wire: Wire) -> None:
    """TCP knows no frames."""
    long = b"x" * 300
    await wire.trickle(
        frame(TEXT, GREEK, fin=False, key=KEY)
        + frame(PING, b"?", key=KEY)
        + frame(CONTINUATION, GREEK, key=KEY)
        + frame(BINARY, long, key=KEY)
        + frame(BINARY, b"eight", length_bytes=8)
        + frame(CLOSE, goodbye(NORMAL))
    )
    assert await wire.hear() == Heard(PONG, b"?")
    assert await wire.hear() == Heard(TEXT, GREEK * 2)
    assert await wire.hear() == Heard(BINARY, long)
    assert await wire.hear() == Heard(BINARY, b"eight")
    assert (await wire.hear()).code == NORMAL
    await wire.closed()


@pytest.mark.parametrize("size", [2, 3, 7, 64, 1000])
async def test_frames_that_come_in_pieces_are_the_same(wire: Wire, size: int) -> None:
    """Of any size."""
    messages = [b"m" * length for length in (0, 1, 124, 125, 126, 127, 128, 500)]
    data = b"".join(frame(BINARY, message, key=KEY) for message in messages)
    for begin in range(0, len(data), size):
        wire.send(data[begin : begin + size])
        await asyncio.sleep(0)
    assert [(await wire.hear()).payload for _ in messages] == messages


async def test_frames_that_come_all_at_once_are_answered_in_order(wire: Wire) -> None:
    """Texts, binary messages and fragments."""
    wire.send(
        *(
            frame(TEXT, b"%d" % number, fin=False)
            + frame(CONTINUATION, b"!")
            + frame(BINARY, b"%d" % number, key=KEY)
            for number in range(500)
        )
    )
    for number in range(500):
        assert await wire.hear() == Heard(TEXT, b"%d!" % number)
        assert await wire.hear() == Heard(BINARY, b"%d" % number)
