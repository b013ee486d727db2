"""The store in memory: it keeps the sessions that exist, and nothing else."""

from __future__ import annotations

from bookcast.sessions.store.base import Claim, Holder
from bookcast.sessions.store.memory import MemorySessionStore
from tests.sessions.store.clients import SEEN, Client


def test_a_store_is_empty_when_nobody_holds_a_key() -> None:
    """Also after somebody has gone, and after another has taken it."""
    store = MemorySessionStore("one")
    clients = [Client(store.key("id", "", name)) for name in ("a", "b")]
    for client in clients:
        store.hold(client)
    assert len(store) == 2
    for client in clients:
        store.release(client)
        store.release(client)
    assert len(store) == 0


def test_what_another_node_holds_is_contested() -> None:
    """Who was lost as one of several under an id takes nothing from the one who has it."""
    cluster: list[MemorySessionStore] = []
    here, there = MemorySessionStore("one", cluster), MemorySessionStore("two", cluster)
    contested: list[Holder] = []
    there.start(taken=lambda _holder: None, contested=contested.append)
    owner, other = Client("key"), Client("key")
    here.hold(owner)
    there.hold(other)
    assert (contested, there.holder("key")) == ([other], None)
    claim = there.claim("key", other)
    assert isinstance(claim, Claim)
    assert (claim.state, claim.owner) == ("live", "one")


def test_of_a_connected_client_what_it_sees_is_copied_when_it_is_taken() -> None:
    """It sees that further on itself."""
    cluster: list[MemorySessionStore] = []
    here, there = MemorySessionStore("one", cluster), MemorySessionStore("two", cluster)
    owner = Client("key")
    here.hold(owner)
    claim = there.claim("key", Client("key"), mark=owner)
    assert isinstance(claim, Claim)
    assert claim.left is not None
    assert claim.left.seen() == owner.seen() == SEEN
