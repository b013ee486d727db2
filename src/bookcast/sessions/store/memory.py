"""The session store of nodes in one process: references, nothing is copied or encoded."""

from __future__ import annotations

from collections.abc import Awaitable

from bookcast.sessions.lost import LostSession
from bookcast.sessions.store.base import ANY, Claim, Claimant, Holder, Kind, SessionStore


class MemorySessionStore(SessionStore):
    """Keeps the holder of each key in this process.

    Args:
        node: this node's id.
        cluster: the stores of all nodes in this process; this store is added to it. None: there are
            no other nodes.
    """

    def __init__(self, node: str = "", cluster: list[MemorySessionStore] | None = None) -> None:
        super().__init__()
        self.node = node
        self._holders: dict[str, Holder] = {}
        self._cluster = cluster if cluster is not None else []
        self._cluster.append(self)

    def __len__(self) -> int:
        return len(self._holders)

    def key(self, kind: Kind, principal: str, name: str) -> str:
        """Return the key of an id or token."""
        return f"{kind}\0{principal}\0{name}"

    def holder(self, key: str) -> Holder | None:
        """Return the holder of a key at this node."""
        return self._holders.get(key)

    def hold(self, holder: Holder, *, confirmed: bool = True) -> None:  # noqa: ARG002 - it is sure
        """Register a holder under its keys."""
        if any(store.has_any(holder.keys) for store in self._cluster if store is not self):
            self._contested(holder)
            return
        for key in holder.keys:
            self._holders[key] = holder

    def has_any(self, keys: tuple[str, ...]) -> bool:
        """Return whether this node has a session of one of these keys."""
        return any(key in self._holders for key in keys)

    def release(self, holder: Holder) -> None:
        """Remove a holder from its keys."""
        self._drop(holder)

    def changed(self, holder: Holder) -> None:
        """Do nothing: a claim asks the holder for its subscriptions."""

    def claim(self, key: str, by: Claimant, *, mark: object = None) -> Claim | Awaitable[Claim]:
        """Take over a session, at once."""
        for store in self._cluster:
            holder = store.holder(key)
            if holder is None or holder is by:
                continue
            if holder.is_connected and mark is not ANY and mark is not holder:
                return Claim("live", owner=store.node, mark=holder)
            left = self._take_here(key, holder) if store is self else store.hand_on(holder)
            self._holders[key] = by
            return Claim("left", left=left)
        return Claim("free")

    def _take_here(self, key: str, holder: Holder) -> LostSession:
        """Take over a session of this node."""
        if not isinstance(holder, LostSession):
            seen = holder.seen()
            self._taken(holder)  # this may close the connection, which leaves a lost session
            left = self._holders.get(key)
            if not isinstance(left, LostSession):
                self._drop(holder, but=key)
                return LostSession(holder.keys, seen, fields=holder.fields())
            holder = left
        self._drop(holder, but=key)
        return holder

    def hand_on(self, holder: Holder) -> LostSession:
        """Transfer a session to another node."""
        left = LostSession(holder.keys, holder.seen(), fields=holder.fields())
        self._drop(holder)
        self._taken(holder)
        return left

    def _drop(self, holder: Holder, *, but: str = "") -> None:
        """Remove a holder from its keys, except from the key that is being claimed."""
        for key in holder.keys:
            if key != but and self._holders.get(key) is holder:
                self._let_go(key)

    def _let_go(self, key: str) -> None:
        """Remove a key."""
        del self._holders[key]
