"""Sessions are saved to Redis as they change and end, and released when another node has them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from bookcast.backplane.breaker import Breaker
from bookcast.backplane.unreadable_log import UnreadableLog
from bookcast.hub.view_spec import ViewSpec
from bookcast.protocol.subscriptions import SavedSubscriptions
from bookcast.sessions.lost import LostSession
from bookcast.sessions.store.base import ANY, Claim, Holder
from bookcast.sessions.store.records import SessionRecords
from bookcast.sessions.store.redis import RedisSessionStore
from bookcast.sessions.times import SessionTimes
from tests.backplane.links import link
from tests.fakes.redis_server import RedisServer
from tests.sessions.store.clients import SEEN, Client
from tests.support import TSLA, eventually

OTHERS: SavedSubscriptions = {TSLA: (ViewSpec("", "TSLA"), None)}
BOTH: SavedSubscriptions = {**SEEN, **OTHERS}


class Members:
    """Cluster members that send nothing: every message is lost."""

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.handlers: dict[str, Callable[[bytes], Awaitable[bytes]]] = {}

    async def tell(self, node: str, method: str, body: bytes) -> None:
        """Send nothing."""


class House:
    """A node's store, and a record of what it reports of its sessions."""

    def __init__(self, records: SessionRecords, id_: str, times: SessionTimes) -> None:
        self.records = records
        self.now = time.monotonic()
        self.lost: list[Holder] = []
        self.contested: list[Holder] = []
        self.store = RedisSessionStore(
            records, Members(id_), unreadable=UnreadableLog(), times=times, clock=lambda: self.now
        )
        self.persister = self.store.persister
        self.store.start(taken=self.lost.append, contested=self.contested.append)

    def key(self, client_id: str = "me") -> str:
        return self.store.key("id", "", client_id)

    def join(
        self, client_id: str = "me", seen: SavedSubscriptions = SEEN, *, confirmed: bool = True
    ) -> Client:
        """Connect a client."""
        client = Client(self.key(client_id), seen=seen)
        self.store.hold(client, confirmed=confirmed)
        return client

    async def idle(self) -> None:
        await eventually(lambda: self.persister.is_idle, "the persister to be done")

    async def claim(self, by: Client) -> Claim:
        claim = self.store.claim(by.keys[0], by)
        return claim if isinstance(claim, Claim) else await claim

    async def found(self, client_id: str = "me") -> SavedSubscriptions | None:
        """Return a session as it was saved; None if there is none."""
        claim = await self.claim(Client(self.key(client_id)))
        if claim.state == "live":
            again = self.store.claim(self.key(client_id), Client("x"), mark=claim.mark)
            claim = again if isinstance(again, Claim) else await again
        return claim.left.seen() if claim.left is not None else None


@asynccontextmanager
async def houses(
    url: str, times: SessionTimes | None = None
) -> AsyncIterator[tuple[House, House, Breaker]]:
    """Yield two nodes, the second of which may take the first one's sessions, and a breaker."""
    times = times or SessionTimes()
    async with link(url) as (here, breaker), link(url) as (there, _):
        one, two = (
            House(SessionRecords(way, name, 30.0, times.live), name, times)
            for way, name in ((here, "one"), (there, "two"))
        )
        yield one, two, breaker
        await one.store.stop()
        await two.store.stop()


async def test_a_change_is_saved(redis_url: str) -> None:
    """Another node finds what the client sees now."""
    async with houses(redis_url) as (here, there, _):
        client = here.join()
        await here.idle()
        client.topics = BOTH
        here.store.changed(client)
        await here.idle()
        assert here.persister.is_saved(client)
        assert await there.found() == BOTH


async def test_who_sees_nothing_is_not_kept(redis_url: str) -> None:
    """Nor any longer, when it saw something before."""
    async with houses(redis_url) as (here, there, _):
        client, nothing, gone = here.join(), here.join("other", seen={}), here.join("gone")
        await here.idle()
        client.topics = {}
        here.store.changed(client)
        here.store.release(gone)
        await here.idle()
        for client_id in ("me", "other", "gone"):
            assert await there.found(client_id) is None
        assert not here.persister.is_saved(client)
        assert here.store.holder(here.key("other")) is nothing


async def test_who_is_looked_for_is_not_saved_meanwhile(redis_url: str) -> None:
    """Their node before may have something to say first."""
    async with houses(redis_url) as (here, there, _):
        client = here.join(confirmed=False)
        here.store.changed(client)
        here.store.recover()
        await here.idle()
        assert await there.found() is None
        here.store.hold(client)
        await here.idle()
        assert await there.found() == SEEN


async def test_what_another_node_has_is_let_go(redis_url: str) -> None:
    """It shows when it is saved."""
    async with houses(redis_url) as (here, there, _):
        client = here.join()
        await here.idle()
        assert await there.found()
        here.store.changed(client)
        await here.idle()
        assert here.lost == [client]
        assert here.store.holder(here.key()) is None


async def test_what_nobody_knew_that_another_node_has_is_looked_for(redis_url: str) -> None:
    """Its client came while no other node could be asked."""
    async with houses(redis_url) as (here, there, _):
        there.join(seen=OTHERS)
        await there.idle()
        client = here.join()
        await here.idle()
        assert (here.contested, here.lost) == ([client], [])


async def test_what_is_taken_from_another_node_replaces_what_was_here(redis_url: str) -> None:
    """This node hadn't learned that its own session continued elsewhere."""
    async with houses(redis_url) as (here, there, _):
        old = here.join()
        await here.idle()
        assert await there.found() == SEEN
        there.store.hold(LostSession((there.key(),), OTHERS))
        await there.idle()
        new = Client(here.key())
        claim = await here.claim(new)
        assert claim.left is not None
        assert claim.left.seen() == OTHERS
        assert here.lost == [old]
        assert here.store.holder(here.key()) is new


async def test_a_session_goes_on_in_a_new_connection(redis_url: str) -> None:
    """Saving it is that one's affair from then on, under the same generation."""
    async with houses(redis_url) as (here, there, _):
        old = here.join()
        await here.idle()
        here.store.hold(old.leaves())
        new = Client(here.key(), seen=OTHERS)
        assert (await here.claim(new)).state == "left"
        here.store.hold(new)
        await here.idle()
        assert here.persister.is_saved(new)
        assert await there.found() == OTHERS


async def test_everything_is_saved_once_more_when_redis_has_forgotten_it(
    redis_url: str, redis_server: RedisServer
) -> None:
    """Until then a session that isn't found may still exist."""
    async with houses(redis_url) as (here, there, _):
        for number in range(20):
            here.join(f"me{number}")
        await here.idle()
        redis_server.cli("FLUSHALL")
        there.store.recover()
        assert (await there.claim(Client(there.key("me0")))).doubt
        there.now += SessionTimes().seek
        assert not (await there.claim(Client(there.key("nobody")))).doubt
        here.store.recover()
        await here.idle()
        for number in range(20):
            assert await there.found(f"me{number}") is not None


async def test_a_base_client_without_subscriptions_is_in_doubt_for_longer_than_a_token(
    redis_url: str,
) -> None:
    """It can't be told that its session is lost; a client with a token can, and subscribes anew."""
    async with houses(redis_url) as (_, there, _):
        there.store.recover()
        there.now += SessionTimes().seek
        base = Client(there.key(), seen={})
        assert (await there.claim(base)).doubt
        token = there.store.claim(there.key("token"), Client(seen={}), mark=ANY)
        assert isinstance(token, Awaitable)
        assert not (await token).doubt
        there.now += SessionTimes().seek
        assert not (await there.claim(base)).doubt


async def test_connected_clients_keep_what_they_have(
    redis_url: str, redis_server: RedisServer
) -> None:
    """However long nothing changes."""
    async with houses(redis_url, SessionTimes(touch=0.05)) as (here, _, _):
        here.join()
        await here.idle()
        key = here.key()
        redis_server.cli("PEXPIRE", key, 5000)
        await eventually(lambda: int(redis_server.cli("PTTL", key)) > 10_000, "a touch")
        redis_server.cli("DEL", key)
        await eventually(lambda: redis_server.cli("EXISTS", key) == "1", "it to be saved again")


async def test_the_end_waits_for_what_is_not_saved_yet(redis_url: str) -> None:
    """Clients go on elsewhere with it."""
    async with houses(redis_url) as (here, there, _):
        here.join()
        await here.store.stop()
        assert await there.found() == SEEN


async def test_while_redis_is_away_what_this_node_has_is_found_at_once(redis_url: str) -> None:
    """Whether another node has it too is unknown."""
    async with houses(redis_url) as (here, _, breaker):
        here.store.hold(here.join().leaves())
        breaker.fail("gone")
        claim = here.store.claim(here.key(), Client(here.key()))
        assert isinstance(claim, Claim)
        assert (claim.state, claim.doubt) == ("left", "gone")
        nobody = here.store.claim(here.key("other"), Client(here.key("other")))
        assert nobody == Claim("free", doubt="gone")


async def test_the_answer_to_a_claim_may_get_lost(redis_url: str) -> None:
    """The next claim finds what is this node's by now, and what it didn't hear of."""
    async with houses(redis_url) as (here, there, _):
        here.store.hold(here.join().leaves())
        await here.idle()
        await there.records.claim(there.key())
        assert await there.found() == SEEN
