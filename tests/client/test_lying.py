"""A relay that loses, repeats, spoils and reorders, between the client and a server of many epochs.

``BOOKCAST_RUNS`` says how many runs there are.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bookcast.client import Book, Subscription, Trades

from .fake_server import cut
from .world import World

RUNS = int(os.environ.get("BOOKCAST_RUNS", "500"))
PRICES = 32
MIDDLE = PRICES // 2

LIES = ("lose", "repeat", "spoil", "hold", "spoil a number")


class Do(NamedTuple):
    """What happens next."""

    kind: str
    what: Any = None


KINDS = (
    ["publish"] * 7 + ["trade"] * 5 + ["lie"] * 7 + ["pass"] * 3 + ["release"] * 2
    + ["lose up", "epoch", "restart", "close", "sleep", "drop", "swallow", "open"]
    # What ends a connection leaves little time for the others.
    + ["publish", "trade", "lie"] * 10
)  # fmt: skip


def step_of(number: int) -> Do:
    """Return the step that a number stands for: one draw for each, since drawing takes long."""
    dice = random.Random(number)
    kind = dice.choice(KINDS)
    changes = [(dice.randint(1, PRICES), dice.randint(0, 3)) for _ in range(dice.randint(1, 14))]
    what = {
        "publish": changes,
        "trade": dice.randint(1, 3),
        "lie": (dice.choice(LIES), dice.randint(0, 2)),
        "pass": dice.choice((10, 400, 3_000, 15_000)),
        "sleep": 30_000,
        "drop": dice.choice((1006, 1012, 4008)),
        "swallow": dice.choice((500, 8_000, 40_000)),
        "open": dice.randint(1, 10),
    }
    return Do(kind, what.get(kind))


class LyingRelay:
    """Treats the next messages as it is told to; each lie lets some through first."""

    def __init__(self) -> None:
        self.lies: list[list[Any]] = []
        self.held: list[Callable[[], None]] = []
        self.loses_next_up = False
        self.swallows = False

    def release(self) -> None:
        """Pass on what was held back."""
        held, self.held = self.held, []
        for pass_on in held:
            pass_on()

    def stop(self) -> None:
        """Tell the truth from now on; what was held back never comes."""
        self.lies.clear()
        self.held.clear()
        self.loses_next_up = self.swallows = False

    def __call__(self, text: str, direction: str, pass_on: Callable[[str], None]) -> None:
        """See a message."""
        if self.swallows:
            return
        if direction == "up":
            if self.loses_next_up:
                self.loses_next_up = False
            else:
                pass_on(text)
            return
        if not self.lies or self.lies[0][1] > 0:
            if self.lies:
                self.lies[0][1] -= 1
            pass_on(text)
            return
        lie, _ = self.lies.pop(0)
        is_delta = "orderbook_delta" in text
        if lie == "repeat":
            pass_on(text)
            pass_on(text)
        elif lie == "hold":
            self.held.append(lambda: pass_on(text))
        elif lie == "spoil":
            pass_on(text[:-3] if is_delta else text)
        elif lie == "spoil a number":
            pass_on(spoilt(text) if is_delta else text)


def spoilt(text: str) -> str:
    """Put a level in that isn't there, among those that the checksum covers."""
    message = json.loads(text)
    message["data"]["bids"].append([MIDDLE, 77])
    return json.dumps(message)


def told(book: Book) -> dict[str, Any]:
    """Return a book as it is published."""
    return {side: [list(one[:2]) for one in getattr(book, side)] for side in ("bids", "asks")}


class Play:
    """One run."""

    def __init__(self, depth: int) -> None:
        self.relay = LyingRelay()
        self.world = World(relay=self.relay, history_size=12, heartbeat_ms=10_000)
        self.server = self.world.server
        self.published: dict[tuple[str | None, int | None], dict[str, Any]] = {}
        self.newest: dict[str, Any] = {}
        self.sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.books: list[tuple[int, Subscription[Book]]] = []
        # Beyond the ten levels of a checksum nothing shows in which view a delta was sent.
        self.depths: set[int] = set()
        self.failures: list[Exception] = []
        self.open(depth)
        self.tape = self.world.client.trades("X")
        self.seen = self.world.collect(self.tape)
        self.traded: list[tuple[str, str, int, bool]] = []
        self.publish([(price, 1) for price in range(1, PRICES + 1)])
        self.world.pass_time()

    def open(self, depth: int) -> None:
        """Subscribe to the book, and look at it at each change."""
        self.depths.add(depth)
        book = self.world.client.order_book("X", depth=depth)
        self.books.append((depth, book))
        book.on_state(lambda _state: self.note(depth, book))

    def note(self, depth: int, book: Subscription[Book]) -> None:
        """Look at a book within the client, which must not be stopped by that."""
        try:
            self.check(depth, book)
        except (AssertionError, KeyError) as failure:
            self.failures.append(failure)

    def check(self, depth: int, book: Subscription[Book]) -> None:
        """See that a book is one that was published, or it says that it isn't sure."""
        if book.value is None or book.state in {"syncing", "connecting"}:
            return
        truth = self.published[book.epoch, book.seq]
        # A whole book doesn't say how deep it was asked for: one that was held back may be
        # shallower.
        assert told(book.value) in [cut(truth, min(one, depth)) for one in (depth, *self.depths)]

    def publish(self, changes: list[tuple[int, int]]) -> None:
        """Publish a book after changes."""
        bids, asks = self.sides
        for price, size in changes:
            (bids if price <= MIDDLE else asks)[price] = size
        self.newest = {
            "bids": [[price, size] for price, size in sorted(bids.items(), reverse=True) if size],
            "asks": [[price, size] for price, size in sorted(asks.items()) if size],
        }
        self.published[self.server.publish("X", self.newest)] = self.newest

    def trade(self, count: int) -> None:
        """Publish trades."""
        ids = [f"t{len(self.traded) + number}" for number in range(count)]
        was_subscribed = self.tape.state == "live"
        place = self.server.trade("X", *({"id": one} for one in ids))
        self.traded += [(one, *place, was_subscribed) for one in ids]

    def do(self, step: Do) -> None:
        """Let something happen."""
        match step.kind:
            case "publish":
                self.publish(step.what)
            case "trade":
                self.trade(step.what)
            case "lie":
                self.relay.lies.append(list(step.what))
            case "lose up":
                self.relay.loses_next_up = True
            case "release":
                self.relay.release()
            case "epoch":
                self.server.new_epoch()
            case "restart":
                self.server.restart()
            case "drop":
                self.server.drop(step.what)
            case "open" if len(self.books) < 4:
                self.open(step.what)
            case "close" if len(self.books) > 1:
                self.books.pop(0)[1].close()
            case "sleep":
                self.world.sleep(step.what)
            case "swallow":
                self.relay.swallows = True
                self.world.pass_time(step.what)
                self.relay.swallows = False
            case "pass":
                self.world.pass_time(step.what)
        self.world.pass_time(0)
        for depth, book in self.books:
            self.check(depth, book)
        assert self.failures == []

    def finish(self) -> None:
        """Tell the truth from now on, and see that everything is as it should be."""
        self.relay.stop()
        self.world.pass_time(120_000)
        self.publish([(MIDDLE, 1_000), (MIDDLE + 1, 1_000)])  # what nobody could miss
        self.server.trade("X", {"id": "last"})
        self.world.pass_time(120_000)
        for depth, book in self.books:
            assert book.state == "live"
            assert book.value is not None
            assert told(book.value) == cut(self.newest, depth)
        self.judge(self.seen.items)
        self.world.end()
        assert self.seen.ended

    def judge(self, items: list[Trades]) -> None:
        """See that each trade after the first that came came once, or was told to be missing."""
        ids = [trade.id for item in items for trade in item.trades]
        gaps = [item.gap for item in items if item.gap is not None]
        assert ids[-1] == "last"
        assert len(set(ids)) == len(ids)
        came = set(ids)
        firsts = [at for at, one in enumerate(self.traded) if one[3] or one[0] in came]
        for one, epoch, seq, _ in self.traded[firsts[0] :] if firsts else ():
            assert one in came or any(
                gap.from_seq is None
                or gap.to_seq is None
                or (gap.epoch == epoch and gap.from_seq <= seq <= gap.to_seq)
                for gap in gaps
            ), f"trade {one} ({seq} of {epoch}) is missing without a word"


@pytest.mark.timeout(RUNS)
@pytest.mark.no_cover
@settings(
    max_examples=RUNS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
@given(st.lists(st.integers(0, 2**32), min_size=25, max_size=60), st.sampled_from((3, 12)))
def test_a_book_is_proven_or_syncing_and_no_trade_is_lost_without_a_word(
    numbers: list[int], depth: int
) -> None:
    """Whatever the relay does; and in the end the newest is there, and each trade came once."""
    play = Play(depth)
    for number in numbers:
        play.do(step_of(number))
    play.finish()
