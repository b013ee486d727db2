"""The queue of what a client asked for that has to wait, and its order.

A session has one queue, ``pending``, with the actions that its protocol decided on. Only
:func:`run` takes actions from it. The rules of order:

- The client gets its answers in the order of its messages. :func:`add` performs an action at once
  if the queue is empty and the action doesn't have to wait. Otherwise it appends the action, even
  if it could be performed now.
- A Publish, Authenticate or Resume always goes through the queue. A Subscribe or Restore does if
  its topics are being read first.
- Consecutive publications are published as one batch. Any other action ends the batch, and is
  performed once all of the batch are answered.
- All topics up to the next Publish, Authenticate or Resume are opened together, so that they are
  read in one round trip. A topic that the client has lost the right to meanwhile isn't shown.
- While only publications are pending, further messages of the client are received, so that they
  can join the batch. Behind anything else the next message waits unread, since its meaning may
  depend on the outcome.
- An Authenticate or Resume stays at the head of the queue until it is done. What follows from it,
  for instance the symbols in the address, is appended and comes last. Publications leave the queue
  when their batch begins.
- Only what the client didn't ask for overtakes the queue: the hub's updates, heartbeats and
  notices, the end of a right, and the earlier session of a base client.
- When the session ends, pending actions are dropped, and topics being read are closed again.

A port's call returns its result or an awaitable of it; only :func:`_result` looks which. Publishing
is always awaited, and needs no task where the engine never waits. Up to the first awaitable
:func:`run` needs no task. There it yields once, and its caller goes on in a task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from itertools import repeat, takewhile
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from bookcast.auth.principal import NOTHING, Principal, owner_of_keys
from bookcast.engine.interests import Interest
from bookcast.errors import InvalidInput
from bookcast.model.topics import Topic
from bookcast.model.updates import Position
from bookcast.protocol.actions import (
    Action,
    Authenticate,
    Message,
    Publish,
    Restore,
    Resume,
    Subscribe,
)
from bookcast.sessions.base import PublishAll
from bookcast.sessions.outbox import Outbox
from bookcast.sessions.shared_parts import SessionParts

T = TypeVar("T")


class Opening(NamedTuple):
    """A Subscribe or Restore whose topics are being read."""

    action: Action
    interests: asyncio.Future[Sequence[Interest]]


Queue = list[Action | Opening] | tuple[()]
"""The pending actions. A list is never empty; an empty queue is ``NOTHING_PENDING``."""

NOTHING_PENDING: Final[tuple[()]] = ()
"""The empty queue, which all idle sessions share."""


class Performer(Protocol):
    """The queue's view of its session."""

    pending: Queue
    outbox: Outbox

    @property
    def parts(self) -> SessionParts[Any]:
        """What all sessions of the node share."""

    @property
    def principal(self) -> Principal | None:
        """The client's principal; None before it has authenticated."""

    @property
    def is_connected(self) -> bool:
        """Whether anything can still be sent to the client."""

    def perform(self, action: Action, opened: Sequence[Interest]) -> None:
        """Perform an action, given the interests in its topics."""

    def perform_now(self, actions: Iterable[Action]) -> None:
        """Perform actions ahead of what is pending."""

    def still_asks_for(self, action: Action) -> bool:
        """Return whether the client still has a right to what it asked for."""

    def authenticate(self, action: Authenticate, *, asked_for_keys: bool = False) -> bool:
        """Verify a credential. Return False if its issuer's keys have to be fetched first."""

    def say(self, message: Message, refusal: InvalidInput | None = None) -> None:
        """Send the client a message."""


_CALLS: Final = (Publish, Authenticate, Resume)


def add(session: Performer, actions: Iterable[Action]) -> None:
    """Perform actions in order until one has to wait; append it and the others to the queue."""
    for action in actions:
        if session.pending:
            session.pending.append(action)
        elif isinstance(action, _CALLS):
            session.pending = [action]
        elif session.is_connected:
            topics = topics_of(action)
            opened = session.parts.engine.open(topics) if topics else ()
            if isinstance(opened, asyncio.Future):
                session.pending = [Opening(action, opened)]
            else:
                session.perform(action, opened)


def blocks(queue: Queue) -> bool:
    """Return whether the client's next message has to wait until the queue has been run."""
    return isinstance(queue, list) and not isinstance(queue[-1], Publish)


def drop(session: Performer) -> None:
    """Drop all pending actions: the session ends."""
    for one in session.pending:
        if isinstance(one, Opening):
            one.interests.add_done_callback(_close_opened)
    session.pending = NOTHING_PENDING


async def run(session: Performer, publish: PublishAll) -> None:
    """Perform the pending actions, and those appended meanwhile."""
    while session.pending and session.is_connected:
        match session.pending[0]:
            case Publish():
                await _publish(session, publish)
            case Authenticate() as action:
                if not session.authenticate(action):
                    await _awaited(session.parts.gate.ask_for_keys())
                    session.authenticate(action, asked_for_keys=True)
                _take(session, 1)
            case Resume() as action:
                await _resume(session, action)
                _take(session, 1)
            case _:
                await _open(session)


async def _result(call: T | Awaitable[T]) -> T:
    """Return the result of a port's call; await it if it is an awaitable."""
    return await _awaited(call) if isinstance(call, Awaitable) else call


async def _awaited(call: Awaitable[T]) -> T:
    """Return the result of an awaitable. Yields once, so that the caller goes on in a task."""
    await asyncio.sleep(0)
    return await call


def _take(session: Performer, count: int) -> Sequence[Action | Opening]:
    taken = session.pending[:count]
    session.pending = list(session.pending[count:]) or NOTHING_PENDING
    return taken


async def _publish(session: Performer, publish: PublishAll) -> None:
    """Publish the batch at the head of the queue, and answer each publication."""
    batch = [*takewhile(lambda one: isinstance(one, Publish), session.pending)]
    actions = [one for one in _take(session, len(batch)) if isinstance(one, Publish)]
    rights = session.principal.rights if session.principal is not None else NOTHING
    outcomes: Iterator[Position | InvalidInput]
    try:
        updates = [action.update for action in actions]
        publishing = publish(updates, rights, owner_of_keys(session.principal))
        waits = session.parts.engine.waits
        outcomes = iter(await (_awaited(publishing) if waits else publishing))
    except InvalidInput as refusal:  # it refuses the whole batch: the engine is away
        outcomes = repeat(refusal)
    if not session.is_connected:
        return
    for action, outcome in zip(actions, outcomes, strict=False):
        if isinstance(outcome, InvalidInput):
            session.say(action.refuse(outcome), outcome)
        else:
            session.say(action.answer(outcome))
    session.parts.hub.join(session.outbox)


async def _resume(session: Performer, action: Resume) -> None:
    refusal = InvalidInput(
        "unknown_session",
        "This session isn't known here; subscribe again, to each topic with the position that "
        "you have as 'since', so that nothing is lost without a word",
    )
    try:
        found = await _result(
            session.parts.ownership.reclaim(
                action.token, session, lambda seen: session.perform_now(action.restore(seen))
            )
        )
    except InvalidInput as error:
        found, refusal = False, error
    if not found and session.is_connected:
        session.say(action.refuse(refusal), refusal)
    session.outbox.flush()


async def _open(session: Performer) -> None:
    """Open the topics of all actions before the next call of a port, then perform the actions."""
    ready = [*takewhile(lambda one: not isinstance(one, _CALLS), session.pending)]
    actions: list[Action] = []
    interests: list[Interest] = []
    topics: list[Topic] = []
    for one in _take(session, len(ready)):
        if isinstance(one, Opening):  # only the first one can be
            actions.append(one.action)
            interests += await _result(one.interests)
        else:
            actions.append(one)
            topics += topics_of(one)
    if topics:
        interests += await _result(session.parts.engine.open(topics))
    left = iter(interests)
    for action in actions:
        opened = [next(left) for _ in topics_of(action)]
        if session.is_connected and session.still_asks_for(action):
            session.perform(action, opened)
        else:
            close_all(opened)
    session.outbox.flush()


def topics_of(action: Action) -> list[Topic]:
    """Return the topics that an action subscribes to."""
    match action:
        case Subscribe(topic):
            return [topic]
        case Restore(restored):
            return [topic for topic, _, _ in restored]
    return []


def close_all(interests: Iterable[Interest]) -> None:
    """Close interests, so that their topics are no longer wanted."""
    for interest in interests:
        interest.close()


def _close_opened(interests: asyncio.Future[Sequence[Interest]]) -> None:
    if not interests.cancelled() and interests.exception() is None:
        close_all(interests.result())
