"""Runs the feed while this node is leader, and publishes its state of topics for other nodes."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from bookcast.background import BackgroundTasks
from bookcast.backplane.formats import read_supply, securities_for, write_supply
from bookcast.backplane.names import name_of
from bookcast.cluster.base import Cluster
from bookcast.cluster.feed_leadership import FeedLeadership
from bookcast.engine.base import Engine
from bookcast.errors import EngineAwayError, FencedError, InvalidInput
from bookcast.feeds.base import Feed, FeedStatus, Publish
from bookcast.feeds.futu.symbol_hints import hints
from bookcast.feeds.supervisor import Supervisor
from bookcast.model.feed_state import FeedState, Security
from bookcast.model.symbol_list import FeedList
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication, Update
from bookcast.timing import Times

logger = logging.getLogger(__name__)

FEEDS: Final = "feeds"
"""The name of the notice with the feeds' states. Notices of topics have the topics' names."""

SYMBOLS: Final = "symbols"
"""The name of the notice with the feed's symbols."""

MAX_LISTED: Final = 10_000
"""A longer list of symbols isn't published for other nodes."""

R = TypeVar("R")


class FeederTimes(Times, frozen=True, kw_only=True):
    """The intervals of nodes that aren't leader, in seconds.

    ``leaderless``: how long no leader may be known before the feed counts as down; that happens for
    a moment whenever the leader changes. ``search``: the timeout of a search on the leader.
    """

    leaderless: float = 3.0
    search: float = 1.0


_encode: Final = msgspec.msgpack.Encoder().encode
_statuses: Final = msgspec.msgpack.Decoder(list[FeedStatus])
_securities: Final = msgspec.msgpack.Decoder(list[Security])
_list: Final = msgspec.msgpack.Decoder(tuple[str, list[Symbol]])


class FeedRunner:
    """One feed for all nodes, run by the leader.

    Args:
        engine: gets the feed's publications.
        cluster: the ports to the other nodes.
        make: makes the configured feeds, given the function that publishes.
        times: how long it waits for other nodes.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        engine: Engine,
        cluster: Cluster,
        make: Callable[[Publish], Sequence[Feed]],
        *,
        times: FeederTimes | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._times = times or FeederTimes()
        self._engine = engine
        self._cluster = cluster
        self._clock = clock
        self._led_at = clock()
        self._fence: int | None = None
        self._leads = False
        # The topics that any node wants, and whether only reads want them.
        self._wanted: dict[Topic, bool] = {}
        self._taking_over: set[Topic] = set()
        self._work = BackgroundTasks()
        self._list: FeedList | None = None
        # Notices of the leader, encoded and decoded.
        self._notices: dict[str, tuple[bytes, Any]] = {}
        self._feeds = [Supervisor(feed) for feed in make(self._publish)]
        # The feeds' states when this node last ran them.
        self._last: list[FeedStatus] = []
        cluster.members.handlers["search"] = self._answer_search

    async def start(self) -> None:
        """Stand for election, if there are feeds to run."""
        if self._feeds:
            await FeedLeadership(self._cluster, self).start()

    @property
    def leads(self) -> bool:
        """Whether this node is leader and runs the feed."""
        return self._leads

    def want(self, topic: Topic) -> None:
        """Note that subscribers want a topic from now on, on at least one node."""
        self._want(topic, reads=False)

    def want_to_read(self, topic: Topic) -> None:
        """Note that only reads want a topic from now on, on all nodes together."""
        self._want(topic, reads=True)

    def _want(self, topic: Topic, *, reads: bool) -> None:
        is_new = topic not in self._wanted
        self._wanted[topic] = reads
        before = self._engine.fed_elsewhere(topic) if is_new else ()
        if isinstance(before, Awaitable):
            self._taking_over.add(topic)
            self._work.begin(self._want_after_others(topic, before), f"taking over {topic}")
        elif topic not in self._taking_over:
            self._pass_demand(topic)

    def _pass_demand(self, topic: Topic) -> None:
        for feed in self._feeds:
            if self._wanted[topic]:
                feed.want_to_read(topic)
            else:
                feed.want(topic)

    async def _want_after_others(self, topic: Topic, before: Awaitable[Sequence[Update]]) -> None:
        """Pass what another node's feed published of a topic to the feed before the demand."""
        try:
            past = [update.data for update in await before]
        finally:
            self._taking_over.discard(topic)
        if topic not in self._wanted:
            return
        for feed in self._feeds:
            feed.go_on_after(topic, past)
        self._pass_demand(topic)

    def release(self, topic: Topic) -> None:
        """Note that no node wants a topic any more."""
        self._wanted.pop(topic, None)
        for feed in self._feeds:
            feed.release(topic)

    def supply(self, topic: Topic) -> FeedState | None:
        """Return how the feed can supply a topic; None if no feed has it."""
        if self._leads:
            for feed in self._feeds:
                if feed.serves(topic):
                    return feed.supply(topic)
            return self._supply_of_others()
        return self._supply_elsewhere(topic)

    def lacking(self, topic: Topic) -> FeedList | None:
        """Return the leader's list of symbols if it lacks the topic's symbol, else None."""
        if self._leads:
            listed = None if any(feed.serves(topic) for feed in self._feeds) else self._list
        elif self._trouble() is not None:
            return None
        else:
            listed = self._read(SYMBOLS, _read_list)
        return listed if listed is not None and topic.symbol not in listed else None

    def _look_at_list(self) -> None:
        """Update the list of symbols, if the feed has a complete one."""
        for feed in self._feeds:
            symbols = tuple(feed.symbols()) if feed.names_all else ()
            if symbols and (self._list is None or self._list.symbols != symbols):
                self._list = FeedList(feed.status().name, symbols, hints)

    def may_serve(self, topic: Topic) -> bool:
        """Return whether a feed, on any node, may supply a topic."""
        if self._feeds:
            return any(
                feed.serves(topic) and not feed.supply(topic).only_published for feed in self._feeds
            )
        return bool(self.statuses()) and self.lacking(topic) is None

    def statuses(self) -> list[FeedStatus]:
        """Return the states of the feeds, on whichever node they run."""
        if self._leads:
            return [feed.status() for feed in self._feeds]
        statuses = self._read(FEEDS, _statuses.decode)
        if statuses is None:
            return self._last
        if trouble := self._trouble():
            return [FeedStatus(one.name, "disconnected", one.symbols, trouble) for one in statuses]
        return statuses

    async def search(self, text: str) -> Sequence[Security]:
        """Search the securities of the leader's feed; without a leader, those of this node's."""
        leader = None if self._leads else self._leader()
        if leader is None:
            return [one for feed in self._feeds for one in await feed.search(text)]
        found = await self._cluster.members.ask_all(
            [leader], "search", text.encode(), self._times.search
        )
        answer = found[leader]
        try:
            return _securities.decode(answer) if answer else ()
        except msgspec.MsgspecError as error:
            self._cluster.unreadable.note("the securities of another node's feed", error)
            return ()

    async def post(self) -> None:
        """Post changes for other nodes, if this node is leader. Call it regularly."""
        self._look_at_list()
        fence = self._cluster.election.fence
        if not self._leads or fence is None:
            return
        try:
            await self._cluster.feed_status.post(self._make_notices, fence)
        except (EngineAwayError, FencedError) as error:
            logger.debug("the feed's state can't be posted for other nodes: %s", error)

    def _make_notices(self) -> dict[str, bytes]:
        form = self._cluster.members.form
        notices = {FEEDS: _encode([feed.status() for feed in self._feeds])}
        if self._list is not None and len(self._list.symbols) <= MAX_LISTED:
            notices[SYMBOLS] = _encode((self._list.feed, self._list.symbols))
        for topic in self._wanted:
            supply = self.supply(topic)
            if supply is not None:
                notices[name_of(topic)] = write_supply(supply, form)
        return notices

    async def close(self) -> None:
        """Cancel background tasks."""
        await self._work.end()

    # Leadership

    async def run_feed(self, fence: int) -> None:
        """Run the feeds, and publish with this fencing token."""
        self._fence = fence
        if not self._leads:
            self._leads = True
            self._look_at_list()
            for feed in self._feeds:
                feed.start()

    async def stop_feed(self) -> None:
        """Stop the feeds."""
        self._leads = False
        for feed in self._feeds:
            await feed.stop()
        self._last = [feed.status() for feed in self._feeds]

    async def _publish(self, publications: Sequence[Publication]) -> None:
        fence = self._fence
        try:
            await self._engine.publish(publications, fence=fence)
        except FencedError:
            logger.debug("%d updates are dropped: another node runs the feed", len(publications))
            if fence is not None:
                self._work.begin(self._cluster.election.note_fenced(fence), "fenced")
        except InvalidInput as error:
            logger.debug("%d updates are dropped: %s", len(publications), error.message)

    # The leader's notices

    def _read(self, name: str, decode: Callable[[bytes], R]) -> R | None:
        """Return a decoded notice of the leader; None if there is none or it can't be decoded."""
        text = self._cluster.feed_status.notices.get(name)
        known = self._notices.get(name)
        if not text:
            self._notices.pop(name, None)
            return None
        if known is None or known[0] != text:
            try:
                known = text, decode(text)
            except msgspec.MsgspecError as error:
                self._cluster.unreadable.note(f"the notice of {name}", error)
                known = text, None
            self._notices[name] = known
        found: R | None = known[1]
        return found

    def _supply_elsewhere(self, topic: Topic) -> FeedState | None:
        supply = self._read(name_of(topic), read_supply)
        trouble = self._trouble()
        if trouble is None:
            return supply
        statuses = self._read(FEEDS, _statuses.decode)
        if supply is None and not statuses:  # no node has a feed, as far as this one knows
            return self._supply_of_others()
        names = [one.name for one in statuses or ()]
        source = supply.source if supply is not None else names[0] if names else ""
        return FeedState(source, "feed_down", trouble)

    def _supply_of_others(self) -> FeedState | None:
        """Return the state of a topic that no feed has: publishers supply it, through Redis."""
        status = self._engine.status()
        if status.state != "away":
            return None
        return FeedState("", "feed_down", f"{status.detail}: what is published doesn't come here")

    def _trouble(self) -> str | None:
        """Return why no data arrive from the leader's feed; None if they do."""
        if (status := self._engine.status()).state == "away":
            return f"the feed runs on another node, and {status.detail}"
        now = self._clock()
        if self._leader() is not None:
            self._led_at = now
        elif self._cluster.feed_status.notices and now - self._led_at > self._times.leaderless:
            return "no node runs the feed now"
        return None

    def _leader(self) -> str | None:
        living = self._cluster.members.living.values()
        return next((node.id for node in living if node.leads), None)

    async def _answer_search(self, text: bytes) -> bytes:
        found = [one for feed in self._feeds for one in await feed.search(text.decode())]
        return _encode(securities_for(found, self._cluster.members.form))


def _read_list(text: bytes) -> FeedList:
    feed, symbols = _list.decode(text)
    return FeedList(feed, symbols, hints)
