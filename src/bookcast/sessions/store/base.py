"""What a session store is: it knows which node has the session of a key, and transfers it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Final, Literal, NamedTuple, Protocol

from bookcast.protocol.subscriptions import SavedSubscriptions
from bookcast.sessions.lost import LostSession

Kind = Literal["id", "token"]
"""The kind of a session's key: a base client's id, or a ``bookcast.v1`` client's token."""

ANY: Final = object()
"""As the mark of a claim: take the session in any case, even from a connected client."""


class Holder(Protocol):
    """The holder of keys at this node: a connected client's session, or a lost session."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Its keys. Its whole record is saved under the first."""

    @property
    def token(self) -> str:
        """The token with which the session may be resumed; empty for a base client."""

    @property
    def is_connected(self) -> bool:
        """Whether the client is connected."""

    @property
    def subscription_count(self) -> int:
        """Number of topics that the client is subscribed to."""

    def seen(self) -> SavedSubscriptions:
        """Return each topic of the client: its view, and the cursor that has reached the client."""

    def fields(self) -> dict[str, object]:
        """Return the client's fields in log lines."""


class Claimant(Holder, Protocol):
    """A holder that can take over a session: it has a principal and a client id."""

    @property
    def id(self) -> tuple[str, str]:
        """The principal's id, and the client's id."""


class Claim(NamedTuple):
    """The outcome of a claim.

    Attributes:
        state: ``free``: no node has the session; ``live``: its client is connected; ``left``: it
            was lost, and now belongs to the claimer.
        owner: ``live``: the node where its client is connected.
        mark: ``live``: a claim with this mark takes the session even so, unless another node has
            taken it meanwhile.
        left: ``left``: the session.
        doubt: why another node may have the session even so: that node couldn't be asked, or hasn't
            saved it yet. Empty: there is no doubt.
    """

    state: Literal["free", "live", "left"]
    owner: str = ""
    mark: object = None
    left: LostSession | None = None
    doubt: str = ""


class SessionStore(ABC):
    """Sessions by their keys. Each key belongs to one node, which has its holder in memory.

    A call returns its result, or an awaitable of it if another process has to be asked.
    """

    def __init__(self) -> None:
        self._taken: Callable[[Holder], None] = lambda _holder: None
        self._contested: Callable[[Holder], None] = lambda _holder: None

    def start(
        self,
        *,
        taken: Callable[[Holder], None],
        contested: Callable[[Holder], None],
    ) -> None:
        """Begin.

        Args:
            taken: called when another node has taken a holder's session.
            contested: called when another node has a session of a holder's key. That holder began
                while the other nodes couldn't be asked; now its key has to be claimed.
        """
        self._taken, self._contested = taken, contested

    async def stop(self) -> None:  # noqa: B027 - in memory nothing is under way
        """Save what isn't saved yet, and end."""

    def recover(self) -> None:  # noqa: B027 - memory forgets nothing
        """Save all sessions again: Redis may have lost them."""

    async def wait_saved(self, key: str) -> None:  # noqa: B027 - memory is never behind
        """Wait until a claim by another node finds the newest state of a key's session."""

    @property
    def is_away(self) -> bool:
        """Whether the sessions of other nodes can't be found now."""
        return False

    @abstractmethod
    def key(self, kind: Kind, principal: str, name: str) -> str:
        """Return the key of an id or token; each principal has its own keys."""

    @abstractmethod
    def holder(self, key: str) -> Holder | None:
        """Return the holder of a key at this node."""

    @abstractmethod
    def hold(self, holder: Holder, *, confirmed: bool = True) -> None:
        """Register a holder under its keys. It replaces the earlier holders at this node.

        ``confirmed=False``: another node may have the session, so it isn't saved yet.
        """

    @abstractmethod
    def release(self, holder: Holder) -> None:
        """Remove a holder from its keys: its session has ended."""

    @abstractmethod
    def changed(self, holder: Holder) -> None:
        """Note that a holder's subscriptions have changed."""

    @abstractmethod
    def claim(self, key: str, by: Claimant, *, mark: object = None) -> Claim | Awaitable[Claim]:
        """Take over the session of a key, unless its client is connected.

        Args:
            key: the session's key.
            by: the new holder.
            mark: take the session even if its client is connected: the mark from the claim that
                found it so, or :data:`ANY`.
        """
