import asyncio
import threading
from typing import Any

from bookcast.client.clock import Clock
from bookcast.client.errors import BookcastClientError
from bookcast.client.tokens import GetToken, Tokens
from tests.still_loop import StillLoop


class Bench:
    """Tokens on a clock that a test moves."""

    def __init__(self, get_token: GetToken) -> None:
        self.seconds = 0.0
        self.errors: list[BookcastClientError] = []
        self.loop = StillLoop(lambda: self.seconds)
        clock = Clock(self.loop, now=lambda: self.seconds * 1000, chance=lambda: 1.0)
        self.tokens = Tokens(get_token, clock, lambda error, _pause: self.errors.append(error))

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        end = self.seconds + seconds
        self.loop.settle()
        while self.loop.due <= end:
            self.seconds = max(self.seconds, self.loop.due)
            self.loop.settle()
        self.seconds = end


def test_whoever_asks_while_one_is_awaited_gets_the_same() -> None:
    """It is asked for once at a time, and kept while it is valid."""
    calls: list[int] = []

    async def get_token() -> str:
        calls.append(1)
        await asyncio.sleep(1)
        return f"token {len(calls)}"

    bench = Bench(get_token)
    one, other = bench.tokens.current(), bench.tokens.renew()
    bench.advance(2)
    assert one.result() == other.result() == "token 1"
    assert bench.tokens.is_fresh
    bench.tokens.accepted(10_000)
    assert not bench.tokens.is_fresh
    assert bench.tokens.current().result() == "token 1"
    bench.advance(9)
    late = bench.tokens.current()
    bench.advance(1)
    assert late.result() == "token 2"
    bench.tokens.accepted(None)
    bench.tokens.drop()
    assert not bench.tokens.current().done()
    bench.advance(0)
    bench.tokens.stop()
    bench.advance(1)
    assert len(calls) == 3


def test_a_call_that_takes_too_long_is_given_up_and_tried_again() -> None:
    """With growing pauses."""
    calls: list[float] = []

    async def get_token() -> str:
        calls.append(bench.seconds)
        if len(calls) < 3:
            await asyncio.sleep(1_000)
        return "good"

    bench = Bench(get_token)
    token = bench.tokens.renew()
    bench.advance(130)
    assert token.result() == "good"
    assert calls == [0, 61, 123]
    assert ["too long" in error.message for error in bench.errors] == [True, True]


async def test_a_plain_function_is_called_in_a_thread() -> None:
    """It may take time, or return something to be awaited."""
    threads: list[int] = []

    def plain() -> str:
        threads.append(threading.get_ident())
        return "plain"

    class Coming:
        async def __call__(self) -> str:
            return "coming"

    clock = Clock(asyncio.get_running_loop())
    functions: list[Any] = [plain, Coming()]
    for function, expected in zip(functions, ["plain", "coming"], strict=True):
        tokens = Tokens(function, clock, lambda error, _pause: None)
        assert await tokens.renew() == expected
    assert threads != [threading.get_ident()]


async def test_a_function_that_hangs_keeps_no_program_from_ending() -> None:
    """Its thread is left behind."""
    ended = threading.Event()

    def hang() -> str:
        ended.wait()
        return "late"

    loop = asyncio.get_running_loop()
    tokens = Tokens(hang, Clock(loop), lambda error, _pause: None)
    coming = tokens.renew()
    await asyncio.sleep(0)
    tokens.stop()
    await asyncio.wait([coming])
    assert coming.cancelled()
    [thread] = [one for one in threading.enumerate() if one.name == "bookcast-token"]
    assert thread.daemon
    ended.set()
    await asyncio.get_running_loop().run_in_executor(None, thread.join)
