import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from Crypto.PublicKey import RSA

from bookcast.feeds.futu import calls
from bookcast.feeds.futu.link import Link, Lost, Refused, Unanswered, connect
from bookcast.feeds.futu.schema import messages
from bookcast.feeds.futu.times import FutuTimes
from bookcast.feeds.futu.wire import HEADER, MAX_PUSH, read_key
from bookcast.model.topics import Symbol
from tests.fakes.opend import Controller
from tests.fakes.opend.wire import GLOBAL_STATE
from tests.support import eventually

AAPL = Symbol("US.AAPL")
LOCAL = "127.0.0.1"
IMPATIENT = FutuTimes(silence_seconds=0.5, watch_seconds=0.02)


@pytest.fixture(scope="module", autouse=True)
def _messages_are_there() -> None:
    """Importing them takes longer than some tests have patience."""
    for name in ("InitConnect", "KeepAlive"):
        messages(name)


class Heard(list[tuple[int, bytes]]):
    """What was pushed."""

    def push(self, protocol: int, body: bytes) -> None:
        self.append((protocol, body))


async def ask_for_states(made: Link) -> None:
    await made.request(calls.global_state())


@asynccontextmanager
async def linked(
    opend: Controller, heard: Heard | None = None, times: FutuTimes | None = None
) -> AsyncIterator[Link]:
    """Connect for the length of a block."""
    push = (Heard() if heard is None else heard).push
    made = await connect(LOCAL, opend.port, push, times=times)
    try:
        yield made
    finally:
        made.fail("was left")


async def test_a_request_gets_its_answer_and_pushes_go_elsewhere(opend: Controller) -> None:
    """Each by its serial number."""
    heard = Heard()
    async with linked(opend, heard) as made:
        states, _ = await asyncio.gather(
            made.request(calls.global_state()), made.request(calls.subscribe([AAPL], 2))
        )
        assert states.qotLogined
        opend.push({"code": "US.AAPL", "bids": [[1, 2, 3]], "asks": []})
        await eventually(lambda: len(heard) == 1, "the push")
        [(protocol, body)] = heard
        response = messages("Qot_UpdateOrderBook").Response()
        response.ParseFromString(body)
        assert (protocol, response.s2c.security.code) == (3013, "AAPL")


async def test_a_refusal_carries_opends_own_reason(opend: Controller) -> None:
    """And the connection stays."""
    opend.refuse(US_AAPL="no quote right for US.AAPL")
    async with linked(opend) as made:
        with pytest.raises(Refused, match="no quote right for"):
            await made.request(calls.subscribe([AAPL], 2))
        assert await made.request(calls.global_state())


async def test_an_answer_that_does_not_come_is_not_waited_for(opend: Controller) -> None:
    """The connection stays: other answers come."""
    opend.ignore(3003)
    async with linked(opend) as made:
        with pytest.raises(Unanswered, match="doesn't answer Qot_GetSubInfo"):
            await made.request(calls.subscriptions(), seconds=0.05)
        assert await made.request(calls.global_state())


async def test_a_late_answer_harms_nobody(opend: Controller) -> None:
    """It belongs to nothing any more."""
    opend.slow(0.1)
    async with linked(opend) as made:
        with pytest.raises(Unanswered):
            await made.request(calls.subscriptions(), seconds=0.01)
        assert (await made.request(calls.global_state())).qotLogined


async def test_whoever_waits_hears_that_the_connection_is_lost(opend: Controller) -> None:
    """And whoever asks later."""
    opend.ignore(3003)
    async with linked(opend) as made:
        waiting = asyncio.create_task(made.request(calls.subscriptions()))
        await eventually(lambda: 3003 in opend.requests(), "the request")
        opend.drop()
        with pytest.raises(Lost):
            await waiting
        assert "closed the connection" in await made.lost or "is gone" in made.lost.result()
        with pytest.raises(Lost):
            await made.request(calls.global_state())


async def test_garbage_ends_the_connection(opend: Controller) -> None:
    """Nobody knows where the next message would begin."""
    async with linked(opend) as made:
        opend.garbage()
        assert "sent what isn't its protocol" in await made.lost


async def test_a_message_that_cannot_be_understood_is_left_out(
    opend: Controller, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, and the next one is taken."""
    taken = []

    def push(protocol: int, body: bytes) -> None:
        messages("Qot_UpdateOrderBook").Response().ParseFromString(body)
        taken.append(protocol)

    made = await connect(LOCAL, opend.port, push)
    await made.request(calls.subscribe([AAPL], 2))
    opend.garble()
    opend.garble()
    opend.push({"code": "US.AAPL", "bids": [[1, 2, 3]], "asks": []})
    await eventually(lambda: taken == [3013], "the book")
    assert caplog.text.count("can't be understood") == 1
    made.fail("was left")


async def test_a_silent_opend_is_asked_and_then_given_up(opend: Controller) -> None:
    """The connection itself wouldn't tell for minutes."""
    async with linked(opend, times=IMPATIENT) as made:
        asked = opend.requests().count(1004)
        await eventually(lambda: opend.requests().count(1004) >= asked + 3, "it is asked for")
        assert not made.lost.done()
        opend.mute()
        assert await made.lost == "doesn't answer"


async def test_a_length_that_cannot_be_is_silence_too(opend: Controller) -> None:
    """Whatever comes after it is swallowed; bytes alone prove nothing."""
    async with linked(opend, times=IMPATIENT) as made:
        endless = HEADER.pack(b"FT", 3013, 0, 0, 1, MAX_PUSH, bytes(20), bytes(8))
        for piece in [endless, *[bytes(100)] * 100]:
            made.get_buffer(-1)[: len(piece)] = piece
            made.buffer_updated(len(piece))
            await asyncio.sleep(0.01)
            if made.lost.done():
                break
        assert await made.lost == "doesn't answer"


async def test_nothing_that_long_comes_unasked(opend: Controller) -> None:
    """An answer may: the list of a market's securities has megabytes."""
    async with linked(opend) as made:
        endless = HEADER.pack(b"FT", 3013, 0, 0, 1, MAX_PUSH + 1, bytes(20), bytes(8))
        made.get_buffer(-1)[: len(endless)] = endless
        made.buffer_updated(len(endless))
        assert "claims to have" in await made.lost


async def test_our_own_sleep_is_not_taken_for_silence(opend: Controller) -> None:
    """What came meanwhile just hasn't been read."""
    async with linked(opend, times=IMPATIENT) as made:
        made._heard -= 100
        made._expected -= 100
        asked = opend.requests().count(1004)
        await eventually(lambda: opend.requests().count(1004) > asked + 1, "it is asked for")
        assert not made.lost.done()


async def test_nobody_there_and_nobody_answering_are_told_apart(opend: Controller) -> None:
    """Both end soon."""
    soon = FutuTimes(connect_seconds=0.2)
    opend.mute()
    with pytest.raises(Lost, match="doesn't answer"):
        await connect(LOCAL, opend.port, Heard().push, times=soon)
    opend.stop_listening()
    with pytest.raises(Lost, match="is not reachable"):
        await connect(LOCAL, opend.port, Heard().push, times=soon)


async def test_what_asks_again_and_again_ends_with_the_connection_and_without_a_word(
    opend: Controller, caplog: pytest.LogCaptureFixture
) -> None:
    """That it is lost is told once, by the connection."""
    async with linked(opend) as made:
        asked = opend.requests().count(GLOBAL_STATE)
        asking = made.periodic(ask_for_states, 0.001, "asking")
        asking.start()
        await eventually(lambda: opend.requests().count(GLOBAL_STATE) > asked + 2, "questions")
        opend.drop()
        await made.lost
        await asyncio.sleep(0.01)
        await asking.close()
    assert "fault of ours" not in caplog.text


async def test_a_fault_of_what_asks_again_and_again_ends_the_connection(
    opend: Controller, caplog: pytest.LogCaptureFixture
) -> None:
    """Else it would ask on without success, and nobody would know."""

    async def fail(_made: Link) -> None:
        raise ZeroDivisionError

    async with linked(opend) as made:
        failing = made.periodic(fail, 0.001, "asking")
        failing.start()
        assert await made.lost == "was left after a fault of ours"
        await eventually(lambda: "asking met a fault of ours" in caplog.text, "the log")
        await failing.close()


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a key as OpenD's documentation asks for."""
    path = tmp_path_factory.mktemp("key") / "key.pem"
    path.write_bytes(RSA.generate(1024).export_key())
    return path


async def test_with_a_key_everything_is_encrypted(key_file: Path) -> None:
    """The first message with RSA, the others with AES, pushes as well."""
    opend = Controller(rsa_key_file=key_file)
    try:
        heard = Heard()
        made = await connect(LOCAL, opend.port, heard.push, read_key(key_file))
        await made.request(calls.subscribe([AAPL], 2))
        opend.push({"code": "US.AAPL", "bids": [[1, 2, 3]], "asks": []})
        await eventually(lambda: len(heard) == 1, "the push")
        made.fail("was left")
        with pytest.raises(Lost, match="does it expect encryption"):
            await connect(LOCAL, opend.port, heard.push)
    finally:
        opend.close()


async def test_the_wrong_key_is_named(key_file: Path, tmp_path: Path) -> None:
    """As far as can be told."""
    other = tmp_path / "other.pem"
    other.write_bytes(RSA.generate(1024).export_key())
    opend = Controller(rsa_key_file=key_file)
    try:
        with pytest.raises(Lost, match="is FUTU_RSA_KEY_FILE the key that it has"):
            await connect(LOCAL, opend.port, Heard().push, read_key(other))
    finally:
        opend.close()
