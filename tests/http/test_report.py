"""What a server says of itself, with several processes as with one."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from bookcast import Server
from bookcast.compose import Worker
from bookcast.http import schemas
from bookcast.settings import from_keywords
from tests.support import connect, eventually, nodes


@asynccontextmanager
async def group(redis_url: str, count: int) -> AsyncIterator[list[Server]]:
    """Run servers that count as processes of one group, though each has a port to be asked at."""
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(
                Server(from_keywords(port=0, redis_url=redis_url), Worker("group", number, count))
            )
            for number in range(count)
        ]
        for server in servers:
            await eventually(lambda server=server: _living(server) == count, "nodes know another")  # type: ignore[misc] # no type can be inferred for a lambda with a default
        yield servers


def _living(server: Server) -> int:
    return len(server.parts.backend.cluster.members.living)


async def get(server: Server, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=server.http_url, trust_env=False) as http:
        return await http.get(path)


async def test_one_process_speaks_for_itself(server: Server) -> None:
    """In memory there is no cluster to tell of."""
    health = (await get(server, "/health")).json()
    assert "workers" not in health
    stats = (await get(server, "/stats")).json()
    assert "cluster" not in stats
    assert stats["node"]["leads"] is False  # it has no feed
    assert stats["node"]["engine"] == {}


async def test_whichever_process_is_asked_answers_for_all(redis_url: str) -> None:
    """Connections, subscriptions and counts are sums; each number of /metrics has its worker."""
    async with (
        group(redis_url, 2) as servers,
        connect(servers[0].ws_url + "a?symbols=AAPL") as one,
        connect(servers[1].ws_url + "b?symbols=AAPL,TSLA") as two,
    ):
        await one.hear()
        await two.hear()
        await two.hear()
        await servers[0].publish("AAPL", {"bids": [[1, 1]], "asks": []})
        for server in servers:
            health = msgspec.json.decode(
                (await get(server, "/health")).content, type=schemas.Health
            )
            assert (health.connections, health.subscriptions) == (2, 3)
            assert health.workers == schemas.Workers(2, 2)
            assert health.status == "healthy"
            stats = msgspec.json.decode((await get(server, "/stats")).content, type=schemas.Stats)
            assert (stats.connections, stats.subscriptions) == (2, 3)
            assert stats.sessions.connected == 2
            assert stats.updates_published == 1
            assert [topic.subscribers for topic in stats.topics] == [2]
            assert stats.node.workers == schemas.Workers(2, 2)
            assert stats.cluster is not None
            assert [node.worker for node in stats.cluster.nodes] == [0, 1]
            text = (await get(server, "/metrics")).text
            families = {family.name: family for family in text_string_to_metric_families(text)}
            connections = families["bookcast_connections"].samples
            assert [(sample.labels, sample.value) for sample in connections] == [
                ({"worker": "0"}, 1.0),
                ({"worker": "1"}, 1.0),
            ]
            assert len(families["bookcast_feed_to_socket_seconds"].samples) > 20


async def test_a_process_that_does_not_answer_is_told(redis_url: str) -> None:
    """Its numbers are missing, and the server isn't healthy."""
    async with group(redis_url, 2) as [first, second]:
        second.parts.backend.cluster.members.handlers.clear()
        health = (await get(first, "/health")).json()
        assert health["workers"] == {"answered": 1, "all": 2}
        assert health["status"] == "degraded"


async def test_stats_tell_of_all_nodes(redis_url: str) -> None:
    """Those that don't share the port are listed, and not summed up."""
    async with (
        nodes(redis_url, 2, feed="simulator") as [first, second],
        connect(first.ws_url + "a") as client,
    ):
        await client.silent()
        await eventually(lambda: _living(first) == _living(second) == 2, "nodes know another")

        async def stats() -> schemas.Stats:
            return msgspec.json.decode((await get(second, "/stats")).content, type=schemas.Stats)

        seen = await stats()
        while seen.cluster is None or seen.cluster.connections != 1 or seen.cluster.leader is None:
            seen = await stats()
        assert seen.connections == 0
        assert {node.id for node in seen.cluster.nodes} == {first._node, second._node}
        assert seen.cluster.leader in {first._node, second._node}
        assert seen.node.id == second._node
        assert seen.node.engine["calls"] > 0
