"""Reports on the server: any process reports for all processes that share the port."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Final, TypeVar

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from bookcast.cluster.members.base import Members, Node
from bookcast.engine.base import Engine, Head
from bookcast.feeds.runner import FeedRunner
from bookcast.http import schemas
from bookcast.hub.hub import Hub
from bookcast.ingest.publisher import Publisher
from bookcast.limits import Refusals
from bookcast.sessions.connections import Registry
from bookcast.settings.reload import Rotated
from bookcast.version import __version__

MAX_LISTED: Final = 20
"""At most this many clients that can't take data are listed by name."""

ANSWER_SECONDS: Final = 1.0
"""How long another process may take to answer."""

_encode: Final = msgspec.msgpack.Encoder().encode

S = TypeVar("S", bound=msgspec.Struct)

MAX_TOPICS: Final = 1000
"""At most this many topics are listed."""


class StatsQuery(msgspec.Struct, frozen=True):
    """The topics to list: at most ``limit``; only those of ``symbol`` if it is given."""

    limit: int = MAX_TOPICS
    symbol: str | None = None


ALL: Final = StatsQuery()


class Listing:
    """The first topics in order, and the totals of all topics. Pages of topics are added to it."""

    def __init__(self, query: StatsQuery) -> None:
        self._query = query
        self.first: list[Head] = []
        self.topics = 0
        """Number of topics that have been published."""
        self.updates = 0
        """Number of updates that they have had."""

    def add(self, page: Sequence[Head]) -> None:
        """Add a page of topics, in any order."""
        self.topics += len(page)
        self.updates += sum(head.position.seq for head in page)
        symbol = self._query.symbol
        fitting = (head for head in page if symbol is None or head.topic.symbol == symbol)
        self.first = heapq.nsmallest(self._query.limit, chain(self.first, fitting), key=_order)


def _order(head: Head) -> tuple[str, str, str]:
    return (head.topic.channel, head.topic.symbol, head.topic.variant)


class Reporter:
    """Reports on this process, and asks the others that share the port.

    ``myself`` returns the description of this node, ``rotated`` the state of the settings that are
    read again, ``now`` seconds since 1970. ``group``: how many processes share the port.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        members: Members,
        feeder: FeedRunner,
        hub: Hub,
        registry: Registry,
        publisher: Publisher,
        refusals: Refusals,
        numbers: CollectorRegistry,
        myself: Callable[[], Node],
        group: int = 1,
        rotated: Callable[[], Rotated | None] = lambda: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._members = members
        self._feeder = feeder
        self._hub = hub
        self._registry = registry
        self._publisher = publisher
        self._refusals = refusals
        self._numbers = numbers
        self._myself = myself
        self._group = group
        self._rotated = rotated
        self._now = now
        self._started = now()
        members.handlers["health"] = self._answer_health
        members.handlers["stats"] = self._answer_stats
        members.handlers["metrics"] = self._answer_metrics

    async def health(self) -> schemas.Health:
        """Return the health of the server and its parts."""
        mine = self._health()
        if self._group == 1:
            return mine
        others = await self._ask("health", schemas.Health)
        states = [mine.status, *(one.status for one in others)]
        answered = 1 + len(others)
        worst = max(states, key=_STATES.index)
        if answered < self._group and worst == "healthy":
            worst = "degraded"
        return msgspec.structs.replace(
            mine,
            status=worst,
            connections=mine.connections + sum(one.connections for one in others),
            subscriptions=mine.subscriptions + sum(one.subscriptions for one in others),
            workers=schemas.Workers(answered, self._group),
        )

    async def stats(self, query: StatsQuery = ALL) -> schemas.Stats:
        """Return what the server has done since it started, and the topics."""
        mine = await self._stats(query)
        if self._group == 1:
            return mine
        others = await self._ask("stats", schemas.Stats, _encode(query))
        whole = msgspec.structs.replace(
            mine.node, workers=schemas.Workers(1 + len(others), self._group)
        )
        return msgspec.structs.replace(_sum([mine, *others]), node=whole)

    async def metrics(self) -> bytes:
        """Return the metrics as text for Prometheus; of several processes, labelled by worker."""
        mine = generate_latest(self._numbers)
        if self._group == 1:
            return mine
        texts = {self._myself().worker: mine}
        for node, answer in (await self._ask_others("metrics")).items():
            texts[node.worker] = answer
        registry = CollectorRegistry()
        registry.register(_ByWorker(texts))
        return generate_latest(registry)

    # This process

    def _health(self) -> schemas.Health:
        feeds = self._feeder.statuses()
        engine = self._engine.status()
        rotated = self._rotated()
        heard = engine.state == "connected" and engine.detail is None
        well = heard and all(feed.state == "connected" for feed in feeds)
        well = well and (rotated is None or rotated.detail is None)
        return schemas.Health(
            status="healthy" if well else "degraded",
            connections=len(self._registry),
            subscriptions=self._registry.subscription_count(),
            uptime_s=self._uptime(),
            engine=engine,
            feeds=feeds,
            settings=rotated,
        )

    async def _stats(self, query: StatsQuery) -> schemas.Stats:
        now_ms = self._now() * 1000
        registry, hub = self._registry, self._hub
        held = registry.held()
        listing = Listing(query)
        async for page in self._engine.pages():
            listing.add(page)
        topics = [
            schemas.TopicStats(
                channel=head.topic.channel,
                symbol=head.topic.symbol,
                period=head.topic.variant or None,
                epoch=head.position.epoch,
                seq=head.position.seq,
                subscribers=hub.subscriber_count(head.topic),
                age_ms=round(max(0.0, now_ms - head.server_ms), 1),
            )
            for head in listing.first
        ]
        myself = self._myself()
        return schemas.Stats(
            version=__version__,
            uptime_s=self._uptime(),
            connections=len(registry),
            subscriptions=registry.subscription_count(),
            connections_held=len(held),
            connections_too_slow=registry.too_slow,
            connections_accepted=registry.accepted,
            handshakes_refused=registry.refused,
            sessions=schemas.Sessions(
                connected=len(registry),
                parked=registry.ownership.lost,
                resumed=registry.ownership.resumed,
                expired=registry.ownership.expired,
            ),
            duplicate_client_ids=registry.ownership.duplicates,
            refusals=dict(sorted(self._refusals.counts.items())),
            messages_received=registry.received,
            updates_published=listing.updates,
            topics_published=listing.topics,
            publishes_refused=self._publisher.refused,
            messages_delivered=hub.delivered,
            messages_conflated=hub.conflated,
            messages_gapped=hub.gapped,
            held=[
                schemas.HeldClient(session.client_id, session.subscription_count, session.backlog)
                for session in held[:MAX_LISTED]
            ],
            topics=topics,
            node=schemas.NodeStats(
                myself.id, self._feeder.leads, myself.worker, self._engine.numbers()
            ),
            cluster=self._cluster(),
        )

    def _cluster(self) -> schemas.ClusterStats | None:
        if not self._members.living:
            return None
        now_ms = self._now() * 1000
        nodes = [
            schemas.ClusterNode(
                node.id,
                node.group,
                node.worker,
                node.leads,
                node.version,
                node.connections,
                round(max(0.0, now_ms - node.started_ms) / 1000, 1),
                node.record_format,
            )
            for node in sorted(
                self._members.living.values(),
                key=lambda node: (node.group, node.worker),
            )
        ]
        return schemas.ClusterStats(
            nodes,
            sum(node.connections for node in nodes),
            next((node.id for node in nodes if node.leads), None),
        )

    def _uptime(self) -> float:
        return round(self._now() - self._started, 3)

    # The other processes

    async def _ask(self, method: str, kind: type[S], body: bytes = b"") -> list[S]:
        answers = await self._ask_others(method, body)
        return [msgspec.msgpack.decode(answer, type=kind) for answer in answers.values()]

    async def _ask_others(self, method: str, body: bytes = b"") -> dict[Node, bytes]:
        myself = self._myself()
        others = {
            node.id: node
            for node in self._members.living.values()
            if node.group == myself.group and node.id != myself.id
        }
        answers = await self._members.ask_all(others, method, body, ANSWER_SECONDS)
        return {others[id_]: answer for id_, answer in answers.items() if answer is not None}

    async def _answer_health(self, _body: bytes) -> bytes:
        return _encode(self._health())

    async def _answer_stats(self, body: bytes) -> bytes:
        return _encode(await self._stats(msgspec.msgpack.decode(body, type=StatsQuery)))

    async def _answer_metrics(self, _body: bytes) -> bytes:
        return generate_latest(self._numbers)


_STATES: Final = ["healthy", "degraded", "unhealthy"]


def _sum(stats: Sequence[schemas.Stats]) -> schemas.Stats:
    """Return stats with the counts of all processes; other fields are those of the first."""
    first = stats[0]
    counts = {
        name: sum(getattr(one, name) for one in stats)
        for name in schemas.Stats.__struct_fields__
        if isinstance(getattr(first, name), int)
    }
    return msgspec.structs.replace(
        first,
        **counts
        | {
            "updates_published": first.updates_published,
            "topics_published": first.topics_published,
            "sessions": schemas.Sessions(
                *(
                    sum(getattr(one.sessions, name) for one in stats)
                    for name in schemas.Sessions.__struct_fields__
                )
            ),
            "refusals": _add(one.refusals for one in stats),
            "held": [client for one in stats for client in one.held][:MAX_LISTED],
            "topics": _with_subscribers(stats),
        },
    )


def _add(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in counts:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return dict(sorted(total.items()))


def _with_subscribers(stats: Sequence[schemas.Stats]) -> list[schemas.TopicStats]:
    """Return the topics of the first process, each with the subscribers of all processes."""
    subscribers: dict[tuple[str, str, str | None], int] = {}
    for one in stats:
        for topic in one.topics:
            name = (topic.channel, topic.symbol, topic.period)
            subscribers[name] = subscribers.get(name, 0) + topic.subscribers
    return [
        msgspec.structs.replace(
            topic, subscribers=subscribers[topic.channel, topic.symbol, topic.period]
        )
        for topic in stats[0].topics
    ]


class _ByWorker(Collector):
    """The metrics of several processes, with the number of the worker as a label."""

    def __init__(self, texts: dict[int, bytes]) -> None:
        self._texts = texts

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for worker, text in sorted(self._texts.items()):
            for found in text_string_to_metric_families(text.decode()):
                family = families.setdefault(
                    found.name, Metric(found.name, found.documentation, found.type)
                )
                family.samples += [
                    sample._replace(labels={**sample.labels, "worker": str(worker)})
                    for sample in found.samples
                ]
        return families.values()
