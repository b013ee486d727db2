"""Sessions are saved as they change, ended as they end, and let go when another node has them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bookcast.engine.shelf import Shelf
from bookcast.sessions import keeper as keeper_module
from bookcast.sessions import saved
from bookcast.sessions.keeper import Keeper
from bookcast.sessions.session import Session
from tests.backplane.links import link
from tests.fakes.redis_server import RedisServer
from tests.sessions.world import SessionWorld
from tests.support import AAPL, TSLA, eventually


class House:
    """One node: its sessions, the keeper of them, and the shelf that it shares with others."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.world = SessionWorld()
        self.connected: set[Session] = set()
        self.parked: set[Session] = set()
        self.lost: list[Session] = []
        self.sought: set[Session] = set()
        self.seeks: list[Session] = []
        self.keeper = Keeper(shelf, is_sought=self.sought.__contains__, seek=self.seeks.append)
        self.keeper.start(self)

    def is_connected(self, session: Session) -> bool:
        return session in self.connected

    def is_parked(self, session: Session) -> bool:
        return session in self.parked

    def owns(self, session: Session) -> bool:
        return session in self.connected | self.parked

    def lose(self, session: Session) -> None:
        self.lost.append(session)
        self.keeper.give_up(session)

    def join(self, client_id: str = "me", *symbols: str) -> Session:
        """Connect a client."""
        session = self.world.enter(client_id, *symbols).session
        self.connected.add(session)
        return session

    def key(self, session: Session) -> str:
        return self.keeper.keys_of(session)[0]

    async def saves(self, session: Session) -> None:
        """Note a change, and wait until it is saved."""
        self.keeper.change(session)
        await self.idle()

    async def idle(self) -> None:
        await eventually(lambda: self.keeper.is_idle, "the keeper to be done")

    async def found(self, session: Session) -> object:
        """Take a session as it was saved; None: there is none."""
        claim = await self.shelf.claim(self.key(session), force=True)
        return None if claim.kind == "none" else saved.read(claim.data)


@asynccontextmanager
async def houses(url: str) -> AsyncIterator[tuple[House, House]]:
    """Give two nodes, the second of which may take what the first has."""
    async with link(url) as (here, _), link(url) as (there, _):
        one, two = House(Shelf(here, "one", 30.0)), House(Shelf(there, "two", 30.0))
        yield one, two
        await one.keeper.stop()
        await two.keeper.stop()


async def test_a_change_is_saved(redis_url: str) -> None:
    """Another node finds what the client sees now."""
    async with houses(redis_url) as (here, there):
        session = here.join("me", "AAPL", "TSLA")
        await here.saves(session)
        assert here.keeper.is_saved(session)
        found = await there.found(session)
        assert isinstance(found, dict)
        assert found.keys() == {AAPL, TSLA}


async def test_who_sees_nothing_is_not_kept(redis_url: str) -> None:
    """Nor any longer, when it saw something before."""
    async with houses(redis_url) as (here, there):
        session = here.join("me", "AAPL")
        await here.saves(session)
        nothing = here.join("other")
        await here.saves(nothing)
        here.connected.discard(session)
        here.keeper.end(session)
        await here.idle()
        assert await there.found(nothing) is None
        assert await there.found(session) is None
        assert not here.keeper.is_saved(session)


async def test_who_is_looked_for_is_not_saved_meanwhile(redis_url: str) -> None:
    """Their node before may have something to say first."""
    async with houses(redis_url) as (here, there):
        session = here.join("me", "AAPL")
        here.sought.add(session)
        await here.saves(session)
        assert await there.found(session) is None


async def test_what_another_node_has_is_let_go(redis_url: str) -> None:
    """It shows when it is saved."""
    async with houses(redis_url) as (here, there):
        session = here.join("me", "AAPL")
        await here.saves(session)
        assert await there.found(session)
        await here.saves(session)
        assert here.lost == [session]
        assert not here.keeper.is_saved(session)


async def test_what_nobody_knew_that_another_node_has_is_looked_for(redis_url: str) -> None:
    """A client came while nobody could be asked for it."""
    async with houses(redis_url) as (here, there):
        elsewhere = there.join("me", "TSLA")
        await there.saves(elsewhere)
        session = here.join("me", "AAPL")
        await here.saves(session)
        assert here.seeks == [session]
        assert here.lost == []


async def test_what_is_taken_from_another_node_replaces_what_was_here(redis_url: str) -> None:
    """Nobody had said that the one here went on elsewhere."""
    async with houses(redis_url) as (here, _):
        old, new = here.join("me", "AAPL"), here.join("me", "AAPL")
        await here.saves(old)
        here.keeper.take(here.key(new), new, 7)
        assert here.lost == [old]
        assert here.keeper.kept(here.key(new)) is new


async def test_what_was_taken_for_somebody_who_has_gone_is_put_back(redis_url: str) -> None:
    """The next one who asks finds it."""
    async with houses(redis_url) as (here, there):
        session = here.join("me", "AAPL")
        await here.saves(session)
        claim = await there.shelf.claim(there.key(session), force=True)
        there.keeper.take(there.key(session), session, claim.generation)
        parked = saved.read(claim.data)
        assert not isinstance(parked, str)
        await there.keeper.put_back(there.key(session), parked)
        assert there.keeper.kept(there.key(session)) is None
        claim = await here.shelf.claim(here.key(session))
        assert claim.kind == "taken"
        assert saved.read(claim.data) == parked


async def test_a_session_goes_on_in_a_new_connection(redis_url: str) -> None:
    """Saving it is that one's affair from then on."""
    async with houses(redis_url) as (here, there):
        old, new = here.join("me", "AAPL"), here.join("me", "TSLA")
        await here.saves(old)
        here.connected.discard(old)
        here.keeper.replace(old, new)
        await here.idle()
        assert here.keeper.kept(here.key(new)) is new
        found = await there.found(new)
        assert isinstance(found, dict)
        assert found.keys() == {TSLA}


async def test_everything_is_saved_once_more_when_redis_has_forgotten_it(
    redis_url: str, redis_server: RedisServer
) -> None:
    """As after it was started anew."""
    async with houses(redis_url) as (here, there):
        sessions = [here.join(f"me{number}", "AAPL") for number in range(20)]
        for session in sessions:
            here.keeper.change(session)
        await here.idle()
        redis_server.cli("FLUSHALL")
        assert await there.found(sessions[0]) is None
        here.keeper.recover()
        await here.idle()
        for session in sessions:
            assert await there.found(session) is not None


async def test_connected_clients_keep_what_they_have(
    redis_url: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long nothing changes."""
    monkeypatch.setattr(keeper_module, "TOUCH_SECONDS", 0.05)
    async with houses(redis_url) as (here, _):
        session = here.join("me", "AAPL")
        await here.saves(session)
        key = here.key(session)
        redis_server.cli("PEXPIRE", key, 5000)
        await eventually(lambda: int(redis_server.cli("PTTL", key)) > 10_000, "a touch")
        redis_server.cli("DEL", key)
        await eventually(lambda: redis_server.cli("EXISTS", key) == "1", "it to be saved again")


async def test_the_end_waits_for_what_is_not_saved_yet(redis_url: str) -> None:
    """Clients go on elsewhere with it."""
    async with houses(redis_url) as (here, there):
        session = here.join("me", "AAPL")
        here.keeper.change(session)
        await here.keeper.stop()
        assert await there.found(session) is not None
