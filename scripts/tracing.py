"""Traces one message through the code: all calls from its arrival to a given end.

The event loop runs steps: callbacks, and tasks from one await to the next. Each step records what
scheduled it. When the message has reached its end, the path is followed back, step by step, to its
beginning. Of each step, the calls up to the point where it caused the next step count. Whatever
else the server does at the same time isn't on the path.
"""

from __future__ import annotations

import asyncio
import dis
import itertools
import linecache
import re
import sys
import threading
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, TypeVarTuple

import bookcast

Ts = TypeVarTuple("Ts")

SOURCE: Final = f"{Path(bookcast.__file__).parent}/"
SOCKETS: Final = asyncio.selector_events.__file__

CLASS_IS_NAMED: Final = frozenset({"__init__", "__new__", "__post_init__", "__call__"})
"""Methods whose callers write the name of the class instead."""


@dataclass(frozen=True)
class Place:
    """A point in a function of the server, with the source text of the call there."""

    code: CodeType
    text: str

    @property
    def function(self) -> str:
        """The function, with its file."""
        return function_of(self.code)


@dataclass(frozen=True)
class Call:
    """A call of a function of the server. ``caller``: None if no server function is on the stack.

    ``woken``: it isn't called, but continues after an await. ``owner``: the module of the class of
    ``self``.
    """

    caller: Place | None
    code: CodeType
    owner: str = ""
    woken: bool = False

    @property
    def function(self) -> str:
        """The called function, with its file."""
        return function_of(self.code)


@dataclass(frozen=True)
class Point:
    """A point in a step: after ``count`` calls, in a function of the server."""

    step: Step
    count: int
    place: Place | None


@dataclass(eq=False)
class Step:
    """One run of a callback, or of a task until its next await.

    ``scheduled``: where it was scheduled. ``before``: the end of the same task's step before this
    one. ``sent``: where the bytes were sent that this step receives.
    """

    scheduled: Point | None = None
    before: Point | None = None
    sent: Point | None = None
    calls: list[Call] = field(default_factory=list)
    resumed: CodeType | None = None
    """The innermost function that continues in this step."""
    runs: bool = False
    """Whether :attr:`resumed` is final: a function was called or has returned since."""


@dataclass(frozen=True)
class Move:
    """A call of a function in another file. Names are ``folder/file.py:function``."""

    caller: str
    callee: str
    stored: bool
    """Whether the caller's line doesn't name the callee: it is a stored callback."""
    owner: str = ""


class Tracer:
    """Records calls on the event loop's thread, from :meth:`begin` until the end is reached.

    A message is recognised by its marker in the bytes that a socket receives or sends.
    """

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self._thread = threading.get_ident()
        self._active = False
        self._marker = b""
        self._is_end: Callable[[FrameType], bool] = lambda _frame: False
        self._step: Step | None = None
        self._first: Point | None = None
        self._last: Point | None = None
        self._sent: Point | None = None
        self._tasks: dict[int, tuple[object, Step]] = {}

    def begin(self, marker: bytes, is_end: Callable[[FrameType], bool]) -> None:
        """Trace the next message with the marker, up to the call for which ``is_end`` is true."""
        self._marker, self._is_end = marker, is_end
        self._active = True
        sys.setprofile(self._profile)

    def stop(self) -> None:
        """Stop recording."""
        self._active = False
        sys.setprofile(None)

    @property
    def end(self) -> str:
        """The function of the server from which the end was reached."""
        assert self._last is not None
        return self._last.place.function if self._last.place is not None else ""

    def path(self) -> list[Call]:
        """Return the calls from the message's beginning to its end."""
        assert self._first is not None, "the message never came"
        assert self._last is not None, "the message didn't come to its end"
        points = self._back(self._last, set())
        assert points is not None, "the end wasn't reached by the message"
        calls: list[Call] = []
        earlier: Place | None = None
        begin = self._first.count
        for cause, point in itertools.pairwise([None, *points]):
            assert point is not None
            step = point.step
            if cause is not None:
                begin, earlier = 0, cause.place or earlier
                if step.resumed is not None and cause is not step.before:
                    calls.append(Call(earlier, step.resumed, woken=True))
            for call in step.calls[begin : point.count]:
                calls.append(Call(call.caller or earlier, call.code, call.owner))
                earlier = Place(call.code, "")
        return calls

    def wrap(self, callback: Callable[[*Ts], object]) -> Callable[[*Ts], None]:
        """Return a callback that runs as a recorded step."""
        owner = getattr(callback, "__self__", None)
        task = owner if isinstance(owner, asyncio.Task) else None
        scheduled = self._here(sys._getframe())  # noqa: SLF001 - the documented way to the caller

        def run(*args: *Ts) -> None:
            if not self._active:
                callback(*args)
                return
            step = self._step = Step(scheduled)
            if task is not None:
                if (known := self._tasks.get(id(task))) is not None:
                    step.before = Point(known[1], len(known[1].calls), None)
                self._tasks[id(task)] = task, step
            try:
                callback(*args)
            finally:
                self._step = None

        return run

    def _here(self, frame: FrameType | None) -> Point | None:
        step = self._step
        if not self._active or step is None or threading.get_ident() != self._thread:
            return None
        nearest = _nearest(frame)
        return Point(step, len(step.calls), _place(nearest) if nearest is not None else None)

    def _back(self, point: Point, tried: set[int]) -> list[Point] | None:
        """Return the points from the beginning to this one; None if there is no such path."""
        step = point.step
        assert self._first is not None
        if step is self._first.step:
            return [point]
        if id(step) in tried:
            return None
        tried.add(id(step))
        for cause in (step.sent, step.scheduled, step.before):
            if cause is not None and (points := self._back(cause, tried)) is not None:
                return [*points, point]
        return None

    def _profile(self, frame: FrameType, event: str, _argument: object) -> None:
        step = self._step
        if step is None or not self._active:
            return
        if event == "return":
            step.runs = True
        elif event == "call":
            code = frame.f_code
            if code.co_name in {"data_received", "buffer_updated"}:
                self._receive(step, frame)
            if code.co_filename.startswith(SOURCE):
                self._call(step, frame)
            elif code.co_filename == SOCKETS and self._marker in written_by(frame):
                self._sent = self._here(frame)
            if self._is_end(frame):
                self._last = self._here(frame)
                self.stop()
                self.ended.set()

    def _receive(self, step: Step, frame: FrameType) -> None:
        if self._marker not in _received(frame):
            return
        if self._sent is not None:
            step.sent = self._sent
        elif self._first is None:
            self._first = Point(step, len(step.calls), None)

    def _call(self, step: Step, frame: FrameType) -> None:
        code = frame.f_code
        if frame.f_lasti > _beginning(code):  # it isn't called: it continues
            if not step.runs:
                step.resumed = code
            return
        step.runs = True
        caller = _nearest(frame.f_back)
        owner = type(frame.f_locals["self"]).__module__ if "self" in frame.f_locals else ""
        step.calls.append(Call(_place(caller) if caller is not None else None, code, owner))


class TracedLoop(asyncio.SelectorEventLoop):
    """An event loop whose callbacks are recorded as steps."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        super().__init__()

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Schedule a callback as a step."""
        return super().call_soon(self.tracer.wrap(callback), *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule a callback as a step at a time."""
        return super().call_at(when, self.tracer.wrap(callback), *args, context=context)

    def _add_reader(self, fd: Any, callback: Any, *args: Any) -> Any:
        # Private, but there is no other way to know when a transport reads.
        return super()._add_reader(fd, self.tracer.wrap(callback), *args)  # type: ignore[misc] # the loop has no types


def moves_of(calls: list[Call]) -> list[Move]:
    """Return the calls of functions in other files, each once, in order."""
    moves: dict[tuple[str, str], Move] = {}
    for call in calls:
        caller = call.caller
        if caller is None or caller.code.co_filename == call.code.co_filename:
            continue
        key = caller.function, function_of(call.code)
        stored = call.woken or not _names(caller.text, call.code)
        known = moves.get(key)
        moves[key] = Move(*key, stored or (known is not None and known.stored), call.owner)
    return list(moves.values())


def function_of(code: CodeType) -> str:
    """Return a function's name with its file."""
    return f"{code.co_filename.removeprefix(SOURCE)}:{code.co_qualname}"


def written_by(frame: FrameType) -> bytes:
    """Return the bytes passed to a transport's ``write``; b"" for other calls."""
    if frame.f_code.co_filename != SOCKETS:
        return b""
    match frame.f_code.co_name:
        case "write":
            return bytes(frame.f_locals["data"])
        case "writelines":
            return b"".join(frame.f_locals["list_of_data"])
        case _:
            return b""


def _received(frame: FrameType) -> bytes:
    code = frame.f_code
    if code.co_name == "data_received":
        return bytes(frame.f_locals[code.co_varnames[1]])
    transport = frame.f_back
    assert transport is not None
    found = transport.f_locals
    return bytes(memoryview(found["buf"])[: found["nbytes"]]) if "nbytes" in found else b""


def _nearest(frame: FrameType | None) -> FrameType | None:
    """Return the nearest frame of a server function, up the stack; None if there is none."""
    while frame is not None and not frame.f_code.co_filename.startswith(SOURCE):
        frame = frame.f_back
    return frame


def _place(frame: FrameType) -> Place:
    return Place(frame.f_code, _text(frame.f_code, frame.f_lasti))


@cache
def _text(code: CodeType, instruction: int) -> str:
    """Return the source lines of an instruction."""
    lines = _lines(code)[instruction // 2]
    return "".join(linecache.getline(code.co_filename, line) for line in lines)


@cache
def _lines(code: CodeType) -> list[range]:
    return [range(line or 0, (end or line or 0) + 1) for line, end, _, _ in code.co_positions()]


@cache
def _beginning(code: CodeType) -> int:
    """Return the offset of a function's first instruction when it is called."""
    return next(one.offset for one in dis.get_instructions(code) if one.opname == "RESUME")


def _names(text: str, code: CodeType) -> bool:
    """Return whether a line of source names a function."""
    name, parts = code.co_name, code.co_qualname.split(".")
    if name in CLASS_IS_NAMED and len(parts) > 1:
        return re.search(rf"\b({parts[-2]}|super)\b", text) is not None
    if name.startswith("__"):
        return True  # an operator or a statement calls it
    return re.search(rf"\b{re.escape(name)}\b", text) is not None
