"""What a client asked for that has to wait, and the order in which it is done.

A session has one queue, ``pending``, of the actions that its protocol decided on, and :func:`run`
alone runs it. The rules of order:

- The client is answered in the order in which it asked. An action is performed at once, by
  :func:`add`, when nothing is pending and it doesn't have to wait itself. Behind something pending
  it is appended, even if it could be performed now.
- A Publish, Authenticate or Resume always goes through the queue. A Show or Restore does if its
  topics are being read first.
- Publications that follow each other are published together. Anything else ends such a batch: it is
  performed once all of the batch are answered.
- All that follows up to the next Publish, Authenticate or Resume is opened together, so that many
  topics are read in one round trip. What the client lost the right to meanwhile isn't shown.
- A message of the client is received while publications alone are pending, so that they join the
  batch. Behind anything else the next message waits unread, since what it means may depend on the
  outcome.
- An Authenticate or Resume stays at the head of the queue until it is done: what it brings about,
  as the symbols in the address, is appended and comes last. Publications leave the queue when their
  batch begins.
- Only what the client didn't ask for overtakes: the hub's updates, heartbeats and notices, the end
  of a right, and a base client's earlier session.
- When the session ends, nothing pending is performed, and topics being read are closed again.

A port's call returns its result or an awaitable of it, and :func:`_result` alone looks which.
:func:`run` needs no task up to the first awaitable. There it yields once, and whoever drives it
goes on in a task.
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
from bookcast.sessions.parts import SessionParts

T = TypeVar("T")


class Opening(NamedTuple):
    """A Show or Restore whose topics are being read."""

    action: Action
    interests: asyncio.Future[Sequence[Interest]]


Queue = list[Action | Opening] | tuple[()]
"""What is pending; a list of it is never empty."""

NOTHING_PENDING: Final[tuple[()]] = ()
"""The queue of every session for which nothing waits."""


class Performer(Protocol):
    """What the queue needs of its session."""

    pending: Queue
    outbox: Outbox

    @property
    def parts(self) -> SessionParts[Any]:
        """What all sessions share."""

    @property
    def principal(self) -> Principal | None:
        """Who the client is; None before it has said so."""

    @property
    def is_connected(self) -> bool:
        """Whether anything can still be sent to the client."""

    def perform(self, action: Action, opened: Sequence[Interest]) -> None:
        """Perform an action, given the interests in its topics."""

    def perform_now(self, actions: Iterable[Action]) -> None:
        """Perform actions ahead of what is pending."""

    def still_asks_for(self, action: Action) -> bool:
        """Return whether the client may still see what it asked for."""

    def authenticate(self, action: Authenticate, *, asked_for_keys: bool = False) -> bool:
        """Verify a credential. Return False if the keys of its issuer have to be fetched first."""

    def say(self, message: Message, refusal: InvalidInput | None = None) -> None:
        """Send the client a message."""


_CALLS: Final = (Publish, Authenticate, Resume)


def add(session: Performer, actions: Iterable[Action]) -> None:
    """Perform actions in order, as far as nothing has to wait; append the rest to the queue."""
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
    """Return whether the client's next message isn't received until the queue has been run."""
    return isinstance(queue, list) and not isinstance(queue[-1], Publish)


def drop(session: Performer) -> None:
    """Forget what is pending: the session ends."""
    for one in session.pending:
        if isinstance(one, Opening):
            one.interests.add_done_callback(_close_opened)
    session.pending = NOTHING_PENDING


async def run(session: Performer, publish: PublishAll) -> None:
    """Perform what is pending, and what is appended meanwhile."""
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
    """Return the result of a port's call, awaited if it has to be."""
    return await _awaited(call) if isinstance(call, Awaitable) else call


async def _awaited(call: Awaitable[T]) -> T:
    """Return what is awaited. Whoever drives this goes on in a task."""
    await asyncio.sleep(0)
    return await call


def _take(session: Performer, count: int) -> Sequence[Action | Opening]:
    taken = session.pending[:count]
    session.pending = list(session.pending[count:]) or NOTHING_PENDING
    return taken


async def _publish(session: Performer, publish: PublishAll) -> None:
    """Publish the batch at the head of the queue, and answer each."""
    batch = [*takewhile(lambda one: isinstance(one, Publish), session.pending)]
    actions = [one for one in _take(session, len(batch)) if isinstance(one, Publish)]
    rights = session.principal.rights if session.principal is not None else NOTHING
    outcomes: Iterator[Position | InvalidInput]
    try:
        updates = [action.update for action in actions]
        publishing = publish(updates, rights, owner_of_keys(session.principal))
        outcomes = iter(await _result(publishing))
    except InvalidInput as refusal:  # of all of them: the engine is away
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
    """Open the topics of all that doesn't follow a call of a port, then perform it."""
    ready = [*takewhile(lambda one: not isinstance(one, _CALLS), session.pending)]
    actions: list[Action] = []
    interests: list[Interest] = []
    topics: list[Topic] = []
    for one in _take(session, len(ready)):
        if isinstance(one, Opening):  # the first of them alone
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
    """Return the topics that an action begins to show."""
    match action:
        case Subscribe(topic):
            return [topic]
        case Restore(restored):
            return [topic for topic, _, _ in restored]
    return []


def close_all(interests: Iterable[Interest]) -> None:
    """Want topics no more."""
    for interest in interests:
        interest.close()


def _close_opened(interests: asyncio.Future[Sequence[Interest]]) -> None:
    if not interests.cancelled() and interests.exception() is None:
        close_all(interests.result())
