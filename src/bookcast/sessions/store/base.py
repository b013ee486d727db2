"""What a session store is: it knows which node has the session of a key, and hands it on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Final, Literal, NamedTuple, Protocol

from bookcast.protocol.subscriptions import SavedSubscriptions
from bookcast.sessions.lost import LostSession

Kind = Literal["id", "token"]
"""What a session is found by: a base client's id, or the secret of a ``bookcast.v1`` client."""

ANY: Final = object()
"""As the mark of a claim: whoever has the session gives it up."""


class Holder(Protocol):
    """Who holds keys at this node: a connected client's session, or what a lost client left."""

    @property
    def keys(self) -> tuple[str, ...]:
        """What it is found by; under the first it is saved whole."""

    @property
    def token(self) -> str:
        """The secret that it may be resumed with; empty for a base client."""

    @property
    def is_connected(self) -> bool:
        """Whether the client is there."""

    @property
    def subscription_count(self) -> int:
        """How many topics the client sees."""

    def seen(self) -> SavedSubscriptions:
        """Return each topic that the client sees, how, and how far the client has received it."""

    def fields(self) -> dict[str, object]:
        """Return what a line of the log says of the client."""


class Claimant(Holder, Protocol):
    """Who goes on with a session: a connected client's."""

    @property
    def id(self) -> tuple[str, str]:
        """Whose session it is, and the client's id."""


class Claim(NamedTuple):
    """What came of a claim.

    Attributes:
        state: ``free``: nobody has the session; ``live``: its client is connected; ``left``: it was
            lost, and is the claimer's now.
        owner: ``live``: the node where its client is connected.
        mark: ``live``: with this the session can be claimed all the same, unless somebody else has
            taken it meanwhile.
        left: ``left``: the session.
        doubt: why another node may have the session all the same: it couldn't be asked, or may
            still have to save it. Empty: it doesn't.
    """

    state: Literal["free", "live", "left"]
    owner: str = ""
    mark: object = None
    left: LostSession | None = None
    doubt: str = ""


class SessionStore(ABC):
    """Sessions by their keys. Each key is one node's; that node's holder is at hand.

    A call returns its result, or an awaitable of it where another process has to be asked.
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
            taken: called when another node has taken what a holder of this one had.
            contested: called when a holder began while nobody could be asked, and another node
                has a session of its key: it is to be claimed.
        """
        self._taken, self._contested = taken, contested

    async def stop(self) -> None:  # noqa: B027 - in memory nothing is under way
        """Save what isn't saved yet, and end."""

    def recover(self) -> None:  # noqa: B027 - memory forgets nothing
        """Save everything once more: it may have been forgotten."""

    @property
    def is_away(self) -> bool:
        """Whether other nodes' sessions can't be found now."""
        return False

    @abstractmethod
    def key(self, kind: Kind, principal: str, name: str) -> str:
        """Return the key of what is found by an id or token, of a principal alone."""

    @abstractmethod
    def holder(self, key: str) -> Holder | None:
        """Return who holds a key at this node."""

    @abstractmethod
    def hold(self, holder: Holder, *, confirmed: bool = True) -> None:
        """Register a holder under its keys, in place of whoever held them at this node.

        ``confirmed=False``: another node may have the session, so no other node is told yet.
        """

    @abstractmethod
    def release(self, holder: Holder) -> None:
        """Remove a holder from its keys: its session is over."""

    @abstractmethod
    def changed(self, holder: Holder) -> None:
        """Take note that a holder sees something else than before."""

    @abstractmethod
    def claim(self, key: str, by: Claimant, *, mark: object = None) -> Claim | Awaitable[Claim]:
        """Take the session of a key over, unless its client is connected.

        Args:
            key: of the session.
            by: who goes on with it.
            mark: take it even so: from the claim that found it connected; or :data:`ANY`.
        """
