"""One run: a cluster, publishers, clients, faults; then quiet, until every client has all data."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.history.checker import Verdict, Violation, check
from tests.history.client import Client
from tests.history.clients import BaseClient, V1Client
from tests.history.cluster import Cluster
from tests.history.data import PERIOD
from tests.history.faults import Nemesis
from tests.history.history import LOCAL, Attempt, Event, Fault, History, Track
from tests.history.modes import Mode, settings_of
from tests.history.publishers import Publisher
from tests.history.tokens import Wallet

PUBLISHERS = 4
SHARED = "SHARED"
SIMULATED = ("US.SIM1", "US.SIM2")

SUBSCRIBE_PATIENCE = 15.0
CALM_SECONDS = 1.0
"""So long all goes on after the faults are over, before the last things are published."""

CONVERGE_PATIENCE = 15.0
LAST_PATIENCE = 20.0


class Load(msgspec.Struct, frozen=True):
    """How much is done. ``rate``: publications a second, of all publishers together.

    ``modes``: what is done besides.
    """

    clients: int = 30
    rate: float = 100.0
    simulator: bool = False
    modes: frozenset[Mode] = frozenset()


class Result(msgspec.Struct):
    """What came of a run. ``converged_in``: seconds after the last publication; None: never."""

    history: History
    verdict: Verdict
    converged_in: float | None
    troubles: list[str]
    logs: str

    @property
    def is_well(self) -> bool:
        """Whether every promise was kept."""
        return not self.verdict.violations and not self.troubles and self.converged_in is not None

    def explain(self) -> str:
        """Return a description of what is wrong, with the ends of the logs."""
        violations = "\n".join(map(str, self.verdict.violations[:30]))
        faults = "\n".join(
            f"{one.at:8.3f}-{one.until:.3f} {one.what} {one.node}" for one in self.history.faults
        )
        return (
            f"seed {self.history.seed}: {len(self.verdict.violations)} violations\n{violations}\n"
            f"converged in {self.converged_in}\nfaults:\n{faults}\n"
            f"troubles: {self.troubles[:10]}\n{self.logs}"
        )


class Run:
    """The parts of a run, while it goes on. ``clock``: seconds since it began."""

    def __init__(self, cluster: Cluster, seed: int, load: Load) -> None:
        began = time.monotonic()
        self.cluster = cluster
        self.load = load
        self.history = History(seed, modes=load.modes)
        self.clock: Callable[[], float] = lambda: time.monotonic() - began
        self.nemesis = Nemesis(cluster, clock=self.clock, note=self._note_fault)
        self.clients = _clients(self)
        self.history.tracks = [client.track for client in self.clients]
        self._stop_publishing = asyncio.Event()
        self._publishing: list[asyncio.Task[None]] = []

    def _note_fault(self, fault: Fault) -> None:
        self.history.faults.append(fault)

    async def begin(self) -> None:
        """Connect and subscribe the clients, then start the publishers."""
        for client in self.clients:
            client.start()
        async with asyncio.timeout(SUBSCRIBE_PATIENCE):
            await asyncio.gather(*(client.is_subscribed.wait() for client in self.clients))
        urls = [self.cluster.http_url, *(node.url for node in self.cluster.nodes)]
        for number in range(PUBLISHERS):
            name = f"p{number}"
            publisher = Publisher(
                name,
                trades=[name.upper(), SHARED] if number < 2 else [name.upper()],
                urls=urls,
                rate=self.load.rate / PUBLISHERS,
                clock=self.clock,
                seed=f"{self.history.seed} {name}",
                note=self.history.attempts.append,
                modes=self.load.modes,
            )
            task = asyncio.create_task(publisher.run(self._stop_publishing), name=name)
            self._publishing.append(task)

    async def finish(self) -> float | None:
        """Publish the last, and wait until all are there and have it; give how long that took.

        Somebody may have everything, and be about to find that the connection is dead.
        """
        self.history.healed = self.clock()
        for client in self.clients:
            client.hurry()
        await asyncio.sleep(CALM_SECONDS)
        self._stop_publishing.set()
        async with asyncio.timeout(LAST_PATIENCE):
            await asyncio.gather(*self._publishing)
        published_at = self.clock()
        last = _last(self.history.attempts)
        converged: float | None = None
        while converged is None and self.clock() - published_at < CONVERGE_PATIENCE:
            connected = all(client.is_connected for client in self.clients)
            if connected and all(map(self._has_all(last), self.clients)):
                converged = self.clock() - published_at
            await asyncio.sleep(0.02)
        # More messages from here on would be too many.
        await asyncio.sleep(0.3)
        return converged

    def _has_all(self, last: Mapping[str, Attempt]) -> Callable[[Client], bool]:
        def has_all(client: Client) -> bool:
            for topic in client.track.topics:
                if topic not in last:
                    continue
                one = last[topic]
                wanted: Any = (one.epoch, one.seq)
                if client.track.protocol == "base":
                    wanted = one.number
                if client.place(topic) != wanted:
                    return False
            return True

        return has_all

    async def end(self) -> None:
        """End whatever still goes on."""
        for task in self._publishing:
            task.cancel()
        if self._publishing:
            await asyncio.wait(self._publishing)
        for client in self.clients:
            await client.stop()


async def perform(
    folder: Path,
    seed: int,
    faults: Callable[[Run], Awaitable[None]],
    load: Load | None = None,
    environ: Mapping[str, str] | None = None,
) -> Result:
    """Do a run with these faults, and judge it."""
    load = load or Load()
    settings = settings_of(load.modes) | ({"FEED": "simulator"} if load.simulator else {})
    workers = 2 if "workers" in load.modes else 1
    async with _running(folder, {**settings, **(environ or {})}, workers) as cluster:
        run = Run(cluster, seed, load)
        converged: float | None = None
        try:
            await run.begin()
            await faults(run)
            converged = await run.finish()
        finally:
            await run.end()
        verdict = await asyncio.to_thread(check, run.history)
        return Result(run.history, verdict, converged, cluster.troubles(), cluster.logs())


@asynccontextmanager
async def _running(
    folder: Path, environ: Mapping[str, str], workers: int
) -> AsyncIterator[Cluster]:
    """Run a cluster, and show its logs when something fails that isn't judged."""
    cluster = Cluster(folder, environ, workers=workers)
    try:
        async with cluster:
            yield cluster
    except BaseException as error:
        error.add_note(cluster.logs())
        raise


def _last(attempts: list[Attempt]) -> dict[str, Attempt]:
    last: dict[str, Attempt] = {}
    for one in attempts:
        if one.final and one.outcome == "ok" and not one.epoch.startswith(LOCAL):
            known = last.get(one.topic)
            if known is None or (known.epoch, known.seq) < (one.epoch, one.seq):
                last[one.topic] = one
    return last


def _clients(run: Run) -> list[Client]:
    """Make clients of all kinds, in turn."""
    symbols = [f"P{number}" for number in range(PUBLISHERS)]
    more: dict[str, Any] = {"url": run.cluster.ws_url, "clock": run.clock}
    simulated = list(SIMULATED) if run.load.simulator else []
    modes = run.load.modes
    clients: list[Client] = []
    for number, kind in zip(range(run.load.clients), itertools.cycle(KINDS)):
        pair = [symbols[number % PUBLISHERS], symbols[(number + 1) % PUBLISHERS]]
        feed = simulated if number % 2 else []
        name = f"{kind.replace(' ', '-')}-{number}"
        if kind == "base" and "all" in modes and number % SLOW_BASE == 0:
            name = f"slow-{name}"
        options = {**more, "seed": str(run.history.seed), "slow": "slow" in name}
        if "auth" in modes:
            narrow = pair[:1] if kind in NARROWED else None
            options["wallet"] = Wallet(name, clock=run.clock, narrow=narrow)
            options["renews"] = number % CARELESS != 0
        if kind == "base":
            topics = [f"orderbook:{symbol}" for symbol in [*pair, *feed]]
            track = Track(name, "base", topics, _events())
            clients.append(BaseClient(track, **options))
            continue
        options["tells"] = number % 2 == 1
        depth = 3 if "depth" in kind else None
        wanted: list[dict[str, Any]] = []
        if "book" in kind:
            mode = "delta" if "delta" in kind else "full"
            shown = symbols if options["slow"] else pair
            view = {"mode": mode} | ({"depth": depth} if depth else {})
            wanted += [{"symbol": symbol, **view} for symbol in [*shown, *feed]]
        if "trades" in kind:
            shown = symbols if options["slow"] else pair
            wanted += [{"symbol": one, "channel": "trades"} for one in [*shown, SHARED, *feed]]
        if "trades" in kind and "candles" in modes:
            candles = {"channel": "candles", "period": PERIOD}
            wanted += [{"symbol": symbol, **candles} for symbol in pair]
        topics = [f"{one.get('channel', 'orderbook')}:{one['symbol']}" for one in wanted]
        track = Track(name, "v1", topics, _events(), depth=depth)
        clients.append(V1Client(track, wanted, **options))
    return clients


def _events() -> list[Event]:
    return []


KINDS = (
    "base",
    "book full",
    "trades",
    "base",
    "book delta",
    "trades",
    "base",
    "book delta depth",
    "trades book delta",
    "slow trades book delta",
)

NARROWED = {"book full", "trades"}
"""With ``auth``, every second token of these is for one symbol alone."""

CARELESS = 7
"""With ``auth``, every so many-th client lets its token expire."""

SLOW_BASE = 6
"""With ``all``, a base client is slow whose number this divides."""

__all__ = ["Load", "Result", "Run", "Violation", "perform"]
