"""Publishes in Redis. Publications that arrive during a call go together in the next call."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final

import msgspec

from bookcast.backplane.formats import NEWEST
from bookcast.backplane.keys import KEEP_SECONDS
from bookcast.backplane.link import Link
from bookcast.backplane.names import name_of, shard_of
from bookcast.engine.base import KeyConflictError, all_published
from bookcast.engine.redis import records
from bookcast.errors import EngineAwayError, FencedError
from bookcast.model.history import is_kept
from bookcast.model.market_data import LOSSLESS
from bookcast.model.topics import Topic
from bookcast.model.updates import Position, Publication, Update

logger = logging.getLogger(__name__)

MAX_TOGETHER: Final = 4096
"""At most so many publications go together, since each waits for the answer of all."""


FRESH: Final = 2
"""Index of the argument that becomes part of the names of new epochs."""

REDIS: Final = 5
"""Index of the argument with the replication id of the first attempt. It is set only in a retry,
so that a different master refuses the retry instead of publishing twice."""


class _Batch(msgspec.Struct):
    """Publications of one :meth:`BatchPublisher.publish` call.

    ``fence``: the feed's fencing token, or None. ``late``: the position under which the state was
    published before.
    """

    publications: Sequence[Publication]
    written: Sequence[bytes]
    server_ms: float
    fence: int | None
    late: Position | None
    outcome: asyncio.Future[list[Position]]


class _Entry(msgspec.Struct):
    """One publication in a script call: its batch, and its index there."""

    batch: _Batch
    index: int

    @property
    def publication(self) -> Publication:
        return self.batch.publications[self.index]


class _ShardCall(msgspec.Struct):
    """One script call: runs of topics of one shard, with their keys and arguments."""

    keys: list[str]
    arguments: list[str | bytes | float]
    runs: list[list[_Entry]]


class BatchPublisher:
    """Publishes with ``publish.lua``, which gives the positions.

    One round of calls runs at a time, which keeps each topic in order.

    Args:
        link: calls scripts in Redis.
        node: the id of this process.
        history_size: so many trades or final candles are kept per topic.
        keeps_books: books are kept in the history too.
        form: returns the format in which records are written now.
        published: called for each published state with its topic, position and record.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        link: Link,
        *,
        node: str,
        history_size: int,
        keeps_books: bool,
        form: Callable[[], int] = lambda: NEWEST,
        published: Callable[[Topic, Position, bytes], None] = lambda *_: None,
        clock: Callable[[], float],
    ) -> None:
        self._link = link
        self._node = node
        self._history_size = history_size
        self._keeps_books = keeps_books
        self._form = form
        self._published = published
        self._clock = clock
        self._waiting: list[_Batch] = []
        self._task: asyncio.Task[None] | None = None
        self._number = 0
        self._producer = f"{node}-{secrets.token_hex(4)}"

    def publish(
        self,
        publications: Sequence[Publication],
        fence: int | None,
        *,
        restored: Callable[[Topic], bool],
        late: Update | None = None,
    ) -> asyncio.Future[list[Position]]:
        """Publish in order, after everything published before.

        Args:
            publications: what to publish.
            fence: the feed's fencing token; None: they don't come from the feed.
            restored: returns whether this is a topic's first publication since an outage.
            late: the update in which this state was published before. The state is dropped if
                Redis has a newer one.

        Returns:
            A future of the positions. It may fail with EngineAwayError: it can't be published now,
            or nobody knows whether it was; with FencedError: another node runs the feed; or with
            KeyConflictError.
        """
        server_ms = round(self._clock() * 1000, 3) if late is None else late.server_ms
        form = self._form()
        written = [
            records.encode(one, server_ms, restored=restored(one.topic), form=form)
            for one in publications
        ]
        outcome: asyncio.Future[list[Position]] = asyncio.get_running_loop().create_future()
        self._waiting.append(
            _Batch(
                publications,
                written,
                server_ms,
                fence,
                late.position if late is not None else None,
                outcome,
            )
        )
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="batch publisher")
        return outcome

    async def close(self) -> None:
        """Stop. Waiting publications are cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        batches: list[_Batch] = []
        try:
            while self._waiting:
                batches = self._take()
                await self._commit(batches)
        finally:
            self._task = None
            for batch in (*batches, *self._waiting):
                if not batch.outcome.done():
                    batch.outcome.cancel()

    def _take(self) -> list[_Batch]:
        count = taken = 0
        for batch in self._waiting:
            if taken and count + len(batch.publications) > MAX_TOGETHER:
                break
            count += len(batch.publications)
            taken += 1
        batches, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return batches

    async def _commit(self, batches: list[_Batch]) -> None:
        positions: dict[int, list[Position | None]] = {
            id(batch): [None] * len(batch.publications) for batch in batches
        }
        calls = self._calls(batches)
        # A retry carries the number of the first attempt, so that it isn't executed twice.
        answers = await asyncio.gather(
            *(self._call(call) for call in calls),
            return_exceptions=True,
        )
        errors: dict[int, list[Exception]] = {}
        done: set[int] = set()
        for call, answer in zip(calls, answers, strict=True):
            of_call = {id(entry.batch) for run in call.runs for entry in run}
            if not isinstance(answer, BaseException):
                _note(call, answer, positions)
                self._report_published(call, positions)
                done |= of_call
                continue
            error = _expected(answer)
            for batch_id in of_call:
                errors.setdefault(batch_id, []).append(error)
        for batch in batches:
            if batch.outcome.done():
                continue
            if failed := errors.get(id(batch)):
                batch.outcome.set_exception(_worst(failed, some_done=id(batch) in done))
                continue
            try:
                batch.outcome.set_result(all_published(positions[id(batch)]))
            except KeyConflictError as conflict:
                batch.outcome.set_exception(conflict)

    def _report_published(
        self, call: _ShardCall, positions: dict[int, list[Position | None]]
    ) -> None:
        """Report the newest states of a call, but for a late one that Redis didn't take."""
        for run in call.runs:
            batch, index = run[-1].batch, run[-1].index
            publication = batch.publications[index]
            position = positions[id(batch)][index]
            if position is None or publication.topic.channel in LOSSLESS:
                continue
            if batch.late is None or f"-{call.arguments[FRESH]!s}-" in position.epoch:
                self._published(publication.topic, position, batch.written[index])

    async def _call(self, call: _ShardCall) -> list[bytes]:
        redis = self._link.redis

        def again() -> list[str | bytes | float]:
            arguments = list(call.arguments)
            arguments[REDIS] = redis
            return arguments

        answer: list[bytes] = await self._link.call(
            "publish", call.keys, call.arguments, vital=True, repeat=again
        )
        return answer

    # Building the script calls

    def _calls(self, batches: list[_Batch]) -> list[_ShardCall]:
        by_topic: dict[tuple[int, bool, Topic], list[_Entry]] = {}
        for batch in batches:
            for index, publication in enumerate(batch.publications):
                topic = publication.topic
                fenced = batch.fence is not None
                key = (shard_of(topic), fenced, topic)
                by_topic.setdefault(key, []).append(_Entry(batch, index))
        self._number += 1
        fresh = f"{self._node}-{self._number}"  # the feed's call has a suffix
        calls = []
        together = sorted(by_topic.items(), key=lambda item: item[0][:2])
        for (shard, fenced), of_shard in groupby(together, key=lambda item: item[0][:2]):
            producer = f"{self._producer}-{'feed' if fenced else 'others'}"
            of_topics = list(of_shard)
            fences = [
                entry.batch.fence
                for _, entries in of_topics
                for entry in entries
                if entry.batch.fence is not None
            ]
            call = _ShardCall(
                [
                    self._link.keys.fence(shard),
                    self._link.keys.producer(shard, producer),
                    self._link.keys.directory(shard),
                ],
                [
                    self._number,
                    # With two different tokens the lower one counts, so the whole call is refused.
                    min(fences) if fences else "",
                    f"{fresh}f" if fenced else fresh,
                    self._history_size,
                    KEEP_SECONDS,
                    "",
                ],
                [],
            )
            for (_, _, topic), entries in of_topics:
                for run in _runs(entries):
                    self._add(call, topic, run)
            if any(run[0].publication.once is not None for run in call.runs):
                call.keys += self._link.keys.once(shard)
            calls.append(call)
        return calls

    def _add(self, call: _ShardCall, topic: Topic, run: list[_Entry]) -> None:
        letters = self._letters(topic, run)
        state, history, channel = self._link.keys.topic(topic)
        call.keys += [state, history]
        call.arguments += [
            name_of(topic),
            channel,
            _continuity(run[0]),
            run[-1].batch.server_ms,
            letters.upper() if run[0].publication.once is not None else letters,
        ]
        call.arguments += [one.batch.written[one.index] for one in run]
        if (once := run[0].publication.once) is not None:
            call.arguments += once
        call.runs.append(run)

    def _letters(self, topic: Topic, run: list[_Entry]) -> str:
        """Return a letter per publication: "h" if it is kept in the history, else "s"."""
        if topic.channel not in LOSSLESS and not self._keeps_books:
            return "s" * len(run)
        kept = (is_kept(one.publication.data, books_too=self._keeps_books) for one in run)
        return "".join("h" if one else "s" for one in kept)


def _expected(error: BaseException) -> Exception:
    if isinstance(error, EngineAwayError | FencedError):
        return error
    logger.error("publishing met a fault of ours", exc_info=error)
    return EngineAwayError("publishing met a fault of ours", unsure=True)


def _worst(errors: Sequence[Exception], *, some_done: bool) -> Exception:
    """Return the error of a batch. It is unsure where some of the batch was published."""
    for error in errors:
        if isinstance(error, FencedError):
            return error
        if isinstance(error, EngineAwayError) and error.unsure:
            return error
    return EngineAwayError(str(errors[0]), unsure=True) if some_done else errors[0]


def _runs(entries: list[_Entry]) -> list[list[_Entry]]:
    """Split a topic's publications into runs.

    A run ends where a new epoch begins. A publication with an idempotency key is a run of its own,
    since the script may leave it out.
    """
    runs: list[list[_Entry]] = []
    for entry in entries:
        last = runs[-1][-1] if runs else None
        if (
            last is None
            or entry.publication.breaks
            or last.batch.late
            or last.publication.once is not None
            or entry.publication.once is not None
        ):
            runs.append([])
        runs[-1].append(entry)
    return runs


def _continuity(entry: _Entry) -> str:
    """Return the script's argument for how a run continues its topic."""
    if (late := entry.batch.late) is not None:
        return f"o{late.epoch} {late.seq}"
    return "r" if entry.publication.breaks else ""


def _note(
    call: _ShardCall, answer: list[bytes], positions: dict[int, list[Position | None]]
) -> None:
    """Store the positions of an answer, which has the epoch and last seq of each run.

    A publication whose key was used for other content gets none.
    """
    for run, epoch, last in zip(call.runs, answer[::2], answer[1::2], strict=True):
        if not epoch:
            continue
        first = int(last) - len(run) + 1
        for offset, entry in enumerate(run):
            position = Position(epoch.decode(), first + offset)
            positions[id(entry.batch)][entry.index] = position
