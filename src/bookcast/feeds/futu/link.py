"""One connection to OpenD: requests and their answers, pushes, and a watch for silence.

All of it runs on the event loop. When the loop is busy, nothing is read, and the bytes wait in the
sockets' buffers: nothing of OpenD's piles up here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from bookcast.background import Periodic, Seconds
from bookcast.feeds.futu import calls
from bookcast.feeds.futu.calls import Call
from bookcast.feeds.futu.schema import messages
from bookcast.feeds.futu.times import FutuTimes
from bookcast.feeds.futu.wire import (
    MAX_BODY,
    MAX_PUSH,
    Aes,
    Cipher,
    Frame,
    Garbage,
    Reader,
    Rsa,
    pack,
    plain,
)

logger = logging.getLogger(__name__)

MOUTHFUL: Final = 64 * 1024
"""So many bytes are read at once; before more are read, others get their turn."""

Push = Callable[[int, bytes], None]
"""Takes the protocol id and the plain body of what OpenD sent unasked."""


class Lost(Exception):
    """The connection has ended or can't be had. The text says how: "is not reachable"."""


class Refused(Exception):
    """OpenD won't do what was asked; the text is its own reason."""


class Unanswered(Exception):
    """OpenD is there, but didn't answer a request in time."""


Ask = Callable[["Link"], Awaitable[None]]
"""Asks OpenD for something; raises Lost when it is gone."""


class Link(asyncio.BufferedProtocol):
    """A connection that OpenD has accepted; made by :func:`connect`.

    ``key``: OpenD's private RSA key, None without encryption. ``on_push`` is called for whatever
    OpenD sends unasked. ``firm``: the broker whose data are asked for, as in calls.FIRMS; 0: any.
    """

    def __init__(
        self, on_push: Push, key: Any = None, firm: int = 0, times: FutuTimes | None = None
    ) -> None:
        self.times = times or FutuTimes()
        self._on_push = on_push
        self._firm = firm
        self._loop = asyncio.get_running_loop()
        self._reader = Reader()
        self._buffer = bytearray(MOUTHFUL)
        self._key = key
        self._cipher: Cipher | None = Rsa(key) if key is not None else None
        self._waiting: dict[int, tuple[Call, asyncio.Future[Any]]] = {}
        self._serial = 0
        self._transport: asyncio.Transport | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._heard = self._asked = self._expected = self._loop.time()
        self._keep_alive_seconds = self.times.silence_seconds
        self._complained: set[int] = set()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        """Done when the connection has ended, with what OpenD did."""

    # From the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def get_buffer(self, _size_hint: int) -> bytearray:
        """Return the buffer that the next bytes are read into."""
        return self._buffer

    def buffer_updated(self, count: int) -> None:
        """Take apart what came."""
        try:
            longest = MAX_BODY if self._waiting else MAX_PUSH
            frames = self._reader.read(bytes(memoryview(self._buffer)[:count]), longest)
            if frames or self._waiting:
                # Bytes alone prove nothing, unless they may belong to a long answer.
                self._heard = self._loop.time()
            for frame in frames:
                self._take(frame)
        except Garbage as fault:
            self.fail(f"sent what isn't its protocol: {fault}")
            return
        if count == MOUTHFUL and self._transport is not None:
            # Else a loop that reads on as long as there is something would do nothing but that.
            self._transport.pause_reading()
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self.lost.done() and self._transport is not None:
            self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end."""
        self.fail("closed the connection" if error is None else f"is gone: {error}")

    # To OpenD

    async def request(self, call: Call, *, seconds: float | None = None) -> Any:
        """Ask, and give the ``S2C`` of the answer.

        Raises:
            Refused: with OpenD's reason.
            Unanswered: after ``seconds``, ``answer_seconds`` unless told.
            Lost: when the connection ends before there is an answer.
        """
        if self.lost.done():
            raise Lost(self.lost.result())
        serial = self._write(calls.name_firm(call, self._firm))
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting[serial] = call, future
        try:
            async with asyncio.timeout(seconds or self.times.answer_seconds):
                response = await future
        except TimeoutError:
            raise Unanswered(f"doesn't answer {call.name}") from None
        finally:
            self._waiting.pop(serial, None)
        if response.retType != 0:
            raise Refused(response.retMsg or f"no reason given ({response.retType})")
        return response.s2c

    def periodic(
        self, ask: Ask, seconds: Seconds, name: str, *, first: float | None = None
    ) -> Periodic:
        """Return what asks OpenD again and again; a fault of ours ends the connection."""

        async def run() -> None:
            try:
                await ask(self)
            except Lost:
                pass  # as is known by :attr:`lost`
            except Exception:
                self.fail("was left after a fault of ours")
                raise

        return Periodic(run, seconds, name, first)

    async def begin(self) -> None:
        """Introduce ourselves.

        Raises:
            Lost: when OpenD doesn't take us in.
        """
        encrypted = self._key is not None
        try:
            accepted = await self.request(calls.init_connect(encrypted=encrypted))
        except Refused as refusal:
            raise Lost(f"refused the connection: {refusal}") from None
        except Unanswered:
            raise Lost("doesn't answer") from None
        except Lost as lost:
            question = (
                "is FUTU_RSA_KEY_FILE the key that it has?"
                if encrypted
                else "does it expect encryption (FUTU_RSA_KEY_FILE)?"
            )
            raise Lost(f"{lost} instead of answering; {question}") from None
        if encrypted:
            try:
                self._cipher = Aes(accepted.connAESKey.encode(), accepted.aesCBCiv.encode() or None)
                self._cipher.encrypt(b"")
            except ValueError as error:
                raise Lost(f"gave a key that can't be used: {error}") from None
        # As often as the vendor's own package.
        self._keep_alive_seconds = max(1.0, accepted.keepAliveInterval * 4 / 5)
        # Until now, `connect_seconds` was the limit.
        self._heard = self._expected = self._loop.time()
        self._tick = self._loop.call_later(self.times.watch_seconds, self._watch)

    def fail(self, what: str) -> None:
        """End the connection; ``what`` OpenD did."""
        if self._tick is not None:
            self._tick.cancel()
        if not self.lost.done():
            self.lost.set_result(what)
        for _, future in self._waiting.values():
            if not future.done():
                future.set_exception(Lost(what))
        self._waiting.clear()
        if self._transport is not None:
            self._transport.abort()

    def _write(self, call: Call) -> int:
        assert self._transport is not None
        self._serial += 1
        body = call.request.SerializeToString()
        self._transport.write(pack(call.protocol, self._serial, body, self._cipher))
        return self._serial

    def _take(self, frame: Frame) -> None:
        body = plain(frame, self._cipher)
        waiting = self._waiting.get(frame.serial)
        if waiting is None or waiting[0].protocol != frame.protocol:
            try:
                self._on_push(frame.protocol, body)
            except Exception:
                # Once a kind: what can't be understood comes many times a second.
                if frame.protocol not in self._complained:
                    self._complained.add(frame.protocol)
                    logger.exception("message %d of OpenD can't be understood", frame.protocol)
            return
        call, future = waiting
        response = messages(call.name).Response()
        try:
            response.ParseFromString(body)
        except Exception as error:  # noqa: BLE001 - protobuf's own, which has no public base
            raise Garbage(f"the answer to {call.name} is no protobuf: {error}") from None
        if not future.done():
            future.set_result(response)

    def _watch(self) -> None:
        """Find out whether OpenD is still there: an idle connection doesn't tell."""
        now = self._loop.time()
        if now - self._expected > 1.0:
            # It was we who slept: what came meanwhile hasn't been read yet.
            self._heard = now
        self._expected = now + self.times.watch_seconds
        self._tick = self._loop.call_later(self.times.watch_seconds, self._watch)
        if now - self._heard >= 2 * self.times.silence_seconds:
            self.fail("doesn't answer")
            return
        unasked = self._asked <= self._heard
        if (now - self._heard >= self.times.silence_seconds and unasked) or (
            now - self._asked >= self._keep_alive_seconds
        ):
            self._asked = now
            # Nobody waits for the answer: that there is one was heard.
            self._write(calls.keep_alive(int(time.time())))


async def connect(
    address: str,
    port: int,
    on_push: Push,
    key: Any = None,
    *,
    firm: int = 0,
    times: FutuTimes | None = None,
) -> Link:
    """Connect to OpenD at an IP address.

    Raises:
        Lost: with what OpenD did instead of taking us in.
    """
    loop = asyncio.get_running_loop()
    link = Link(on_push, key, firm, times)
    try:
        async with asyncio.timeout(link.times.connect_seconds):
            await loop.create_connection(lambda: link, address, port)
            await link.begin()
    except TimeoutError:
        link.fail("doesn't answer")
        raise Lost("doesn't answer") from None
    except OSError:
        link.fail("is not reachable")
        raise Lost("is not reachable") from None
    except BaseException:
        link.fail("was left")
        raise
    return link
