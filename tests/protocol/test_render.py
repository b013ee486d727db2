import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bookcast.engine.memory import MemoryEngine
from bookcast.hub import batch
from bookcast.hub.hub import Hub
from bookcast.hub.status import Status
from bookcast.hub.view_spec import RenderedStep, ViewSpec
from bookcast.model.cursor import Cursor
from bookcast.model.history import Gap
from bookcast.model.market_data import (
    Book,
    Broker,
    Brokers,
    Data,
    ExtendedQuote,
    Level,
    OptionFigures,
    Quote,
)
from bookcast.model.symbol_list import FeedList
from bookcast.model.topic_log import LogRules
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Position, Publication, Update
from bookcast.protocol.render import Renderer
from tests.budget import examples
from tests.support import (
    AAPL,
    CANDLES,
    QUOTE,
    TRADES,
    TSLA,
    ManualTimer,
    RecordingOutbox,
    Replica,
    candle,
    js,
    line,
    trades,
)

V1 = ViewSpec("v1", "AAPL")
DELTA = V1._replace(delta=True)


def at(seq: int, data: Data, topic: Topic = AAPL, epoch: str = "e") -> Update:
    return Update(topic, Position(epoch, seq), data, server_ms=30, exchange_ms=10, feed_ms=20)


def book(*bids: tuple[float, float] | tuple[float, float, int]) -> Book:
    return Book(tuple(Level(*level) for level in bids), (Level(9, 1),))


def shown(spec: ViewSpec, before: Update | None, *updates: Update, **options: Any) -> list[Any]:
    cursor = Cursor.at(before) if before is not None else None
    frames = Renderer(line).updates(spec, cursor, updates, **options).frames
    return [json.loads(text) for text in frames.splitlines()]


def test_a_book_is_shown_as_deep_as_the_view() -> None:
    """Levels as short as they can be, and three times to tell where it was when."""
    update = at(7, book((5, 1, 2), (4, 1), (3, 1)))
    assert shown(V1._replace(depth=2), None, update) == [
        {
            "type": "orderbook_update",
            "channel": "orderbook",
            "symbol": "AAPL",
            "epoch": "e",
            "seq": 7,
            "ts": [10, 20, 30],
            "data": {"bids": [[5, 1, 2], [4, 1]], "asks": [[9, 1]]},
        }
    ]


def test_a_delta_tells_what_changed_in_the_view_and_a_checksum() -> None:
    """A level that left the depth is gone; deeper changes are none of its business."""
    before = at(7, book((5, 1), (4, 1), (3, 1)))
    after = at(9, book((6, 2.5), (5, 1), (3, 7)))
    [delta] = shown(DELTA._replace(depth=2), before, after)
    assert delta == {
        "type": "orderbook_delta",
        "channel": "orderbook",
        "symbol": "AAPL",
        "epoch": "e",
        "seq": 9,
        "ts": [10, 20, 30],
        "prev_seq": 7,
        "checksum": delta["checksum"],
        "data": {"bids": [[6, 2.5], [4, 0]], "asks": []},
    }


def test_what_changes_nothing_in_the_view_is_left_out_of_the_chain() -> None:
    """The next delta goes on from the last that was sent."""
    first, deeper, better = (
        at(1, book((5, 1), (4, 1))),
        at(2, book((5, 1), (4, 9))),
        at(3, book((5, 2), (4, 9))),
    )
    spec = DELTA._replace(depth=1)
    cursor = Cursor.at(first)
    assert Renderer(line).updates(spec, cursor, [deeper]) == RenderedStep(b"", cursor, 0)
    [delta] = shown(spec, first, deeper, better)
    assert (delta["prev_seq"], delta["seq"]) == (1, 3)
    [empty] = shown(spec, first, deeper, unchanged_too=True)
    assert (empty["seq"], empty["data"]) == (2, {"bids": [], "asks": []})
    assert len(shown(V1._replace(depth=1), first, deeper)) == 1


def test_a_delta_never_crosses_an_epoch() -> None:
    """The whole book does."""
    [whole] = shown(DELTA, at(7, book((5, 1)), epoch="d"), at(1, book((5, 1))))
    assert (whole["type"], whole["epoch"]) == ("orderbook_update", "e")


def test_trades_are_shown_together_with_the_place_before_the_first() -> None:
    """One message, however many publications."""
    updates = [at(seq, trades(seq, seq * 10), TRADES) for seq in (4, 5)]
    [message] = shown(V1, None, *updates)
    assert message["type"] == "trade"
    assert (message["prev_seq"], message["seq"]) == (3, 5)
    assert [trade["size"] for trade in message["data"]["trades"]] == [4, 40, 5, 50]
    assert message["data"]["trades"][0] == {
        "price": 100.5,
        "size": 4,
        "side": "buy",
        "timestamp": 1_700_000_000_000,
        "id": 4,
    }


@pytest.mark.parametrize(
    ("topic", "data", "kind", "more", "wire"),
    [
        (
            QUOTE,
            Quote(last=5, suspended=False),
            "quote_update",
            {},
            {"last": 5, "suspended": False},
        ),
        (
            CANDLES,
            candle(7),
            "candle_update",
            {"period": "1m"},
            {"time": 0, "open": 1, "high": 2, "low": 1, "close": 2, "volume": 7, "final": False},
        ),
        (
            Topic("brokers", AAPL.symbol),
            Brokers((Broker(1, "One", 1),), ()),
            "brokers_update",
            {},
            {"bids": [{"id": 1, "name": "One", "pos": 1}], "asks": []},
        ),
        (
            Topic("brokers", AAPL.symbol),
            Brokers((), (Broker(1, "One", 1, 7, 0),)),
            "brokers_update",
            {},
            {"bids": [], "asks": [{"id": 1, "name": "One", "pos": 1, "order": 7, "size": 0}]},
        ),
        (
            QUOTE,
            Quote(option=OptionFigures(delta=0), after=ExtendedQuote(volume=0), dark="ended"),
            "quote_update",
            {},
            {"option": {"delta": 0}, "after": {"volume": 0}, "dark": "ended"},
        ),
    ],
)
def test_other_channels_show_what_is_known(
    topic: Topic, data: Data, kind: str, more: dict[str, str], wire: object
) -> None:
    """What is unknown is absent."""
    assert shown(V1, None, at(3, data, topic)) == [
        {
            "type": kind,
            "channel": topic.channel,
            "symbol": "AAPL",
            "epoch": "e",
            "seq": 3,
            "ts": [10, 20, 30],
            **more,
            "data": wire,
        }
    ]


def test_gaps_and_states_are_told_to_v1_clients_alone() -> None:
    """The base protocol has no words for them."""
    renderer, base = Renderer(line), ViewSpec("base", "AAPL")
    gap, status = Gap("e", 3, 9, "overflow"), Status("stale", 31.0, "no update for 31 s", "futu")
    assert renderer.gap(base, TRADES, gap) == renderer.status(base, AAPL, status) == b""
    assert json.loads(renderer.gap(V1, CANDLES, gap)) == {
        "type": "gap",
        "channel": "candles",
        "symbol": "AAPL",
        "period": "1m",
        "epoch": "e",
        "from_seq": 3,
        "to_seq": 9,
        "reason": "overflow",
    }
    assert json.loads(renderer.status(V1, AAPL, status)) == {
        "type": "status",
        "channel": "orderbook",
        "symbol": "AAPL",
        "state": "stale",
        "age_ms": 31.0,
        "reason": "no update for 31 s",
        "source": "futu",
    }


class Client(RecordingOutbox):
    """A subscriber that checks all it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.replicas: dict[str, Replica] = {}

    def listen(self) -> None:
        """Take what was written."""
        for text in b"".join(self.writes).splitlines():
            message = json.loads(text)
            self.replicas[message["channel"] + message["symbol"]].hear(message)
        self.writes.clear()


class World:
    """An engine, a hub with the real renderer, and three clients."""

    def __init__(self, history_size: int) -> None:
        self.timer = ManualTimer()
        self.timer.now = 100.0
        self.engine = MemoryEngine(
            epoch="e", clock=self.timer.clock, rules=LogRules(history_size, clock=self.timer.clock)
        )
        self.hub = Hub(
            renderer=Renderer(line),
            clock=self.timer.clock,
            now=self.timer.clock,
            call_later=self.timer.call_later,
        )
        self.engine.attach(
            notice=self.hub.notice, wanted=lambda _topic: None, unwanted=lambda _topic: None
        )
        self.clients = [Client() for _ in range(3)]

    def publish(self, topic: Topic, data: Data) -> None:
        publishing = self.engine.publish([Publication(topic, data)])
        with pytest.raises(StopIteration):
            publishing.send(None)

    def subscribe(self, client: Client, topic: Topic, spec: ViewSpec, history: int = 0) -> None:
        replica = client.replicas[topic.channel + spec.requested_symbol] = Replica()
        client.listen()
        interest = self.engine.open_now(topic)
        place = self.hub.subscribe(client, interest, spec, history=history).position
        replica.place = (place.epoch, place.seq) if place else (None, None)
        self.hub.start(client, [topic])
        client.flush()
        client.listen()

    def fill_up(self, client: Client) -> None:
        def full() -> None:
            client.on_write = lambda: None
            self.hold(client)

        if client.writable:
            client.on_write = full

    def hold(self, client: Client) -> None:
        client.writable = False
        self.hub.hold(client)

    def catch_up(self, client: Client) -> None:
        client.writable = True
        self.hub.catch_up(client)

    def settle(self) -> None:
        """Let all timers run, and every client take everything."""
        self.timer.run()
        for client in self.clients:
            for _ in range(3):  # the first time may find it full again
                self.catch_up(client)
            client.listen()


prices = st.integers(1, 14) | st.sampled_from([0.5, 1e-7, 2.5e-5, 3.25, 1e15, 2.0**53 - 1])
sizes = st.integers(1, 3) | st.sampled_from([0.1 + 0.2, 1e-9, 7.0])
sides = st.dictionaries(prices, st.tuples(sizes, st.none() | st.integers(0, 2)), max_size=14)
specs = st.builds(
    ViewSpec,
    st.just("v1"),
    st.just("AAPL"),
    st.none() | st.integers(1, 12),
    st.booleans(),
    st.sampled_from([0, 0, 10, 100]),
)
who = st.integers(0, 2)
topics = st.sampled_from([AAPL, TSLA])


def written(side: dict[float, tuple[float, int | None]], *, reverse: bool) -> tuple[Level, ...]:
    return tuple(Level(price, *side[price]) for price in sorted(side, reverse=reverse))


# Books that come back, so that a client may end where it was after all.
FEW = [book((5, 1)), book((5, 1), (4, 1)), book((5, 2), (4, 1))]
books = st.sampled_from(FEW) | st.builds(
    lambda bids, asks: Book(written(bids, reverse=True), written(asks, reverse=False)), sides, sides
)
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("book"), books, topics),
        st.tuples(st.just("book"), books, topics),
        st.tuples(st.just("book"), books, topics),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.003, 0.03, 0.3]), topics),
        st.tuples(st.just("subscribe"), who, st.tuples(topics, specs)),
        st.tuples(st.just("unsubscribe"), who, topics),
        st.tuples(st.just("hold"), who, st.none()),
        st.tuples(st.just("fill"), who, st.none()),
        st.tuples(st.just("catch_up"), who, st.none()),
        st.tuples(st.just("resync"), who, topics),
    ),
    max_size=50,
)


@pytest.fixture(params=["joined", "piecemeal"], scope="module")
def pending_bytes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a flush write everything at its end, or each frame at once."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "piecemeal":
            patch.setattr(batch, "PENDING_BYTES", 1)
        yield


@pytest.mark.usefixtures("pending_bytes")
@settings(max_examples=examples(300))
@given(happenings)
def test_whatever_happens_every_book_is_true_and_can_be_proved(
    script: list[tuple[str, Any, Any]],
) -> None:
    """Each delta continues the last one, each checksum agrees, and all end on the server's book."""
    world = World(history_size=10)
    newest: dict[Topic, Book] = {}
    subscribed: dict[tuple[int, Topic], ViewSpec] = {}
    for what, first, second in script:
        if what == "book":
            newest[second] = first
            world.publish(second, first)
        elif what == "wait":
            world.timer.run_until(world.timer.now + first)
        elif what == "subscribe":
            topic, spec = second
            subscribed[first, topic] = spec = spec._replace(requested_symbol=topic.symbol)
            world.subscribe(world.clients[first], topic, spec)
        elif what == "unsubscribe":
            world.hub.unsubscribe(world.clients[first], second)
            subscribed.pop((first, second), None)
        elif what == "resync" and (first, second) in subscribed:
            world.hub.resync(world.clients[first], second)
            world.clients[first].flush()
        elif what in {"hold", "fill", "catch_up"}:
            act = {"hold": world.hold, "fill": world.fill_up, "catch_up": world.catch_up}[what]
            act(world.clients[first])
        for client in world.clients:
            client.listen()
    world.settle()
    for (number, topic), spec in subscribed.items():
        replica = world.clients[number].replicas[f"orderbook{topic.symbol}"]
        if topic not in newest:
            assert replica.kinds == ["status"] * len(replica.kinds)
            continue
        assert replica.sides() == tuple(
            [
                [level.price, level.size] + ([] if level.orders is None else [level.orders])
                for level in side[: spec.depth]
            ]
            for side in (newest[topic].bids, newest[topic].asks)
        )


def test_a_client_whose_book_came_back_to_where_it_was_is_told_its_new_place() -> None:
    """An empty delta: the next one continues the others' place in the sequence, not its own."""
    world = World(history_size=10)
    quick, slow = world.clients[:2]
    for client in (quick, slow):
        world.subscribe(client, AAPL, DELTA)
    for number, shown_book in enumerate([FEW[0], FEW[1], FEW[0], FEW[2]]):
        if number == 1:
            world.hold(slow)
        if number == 3:
            world.catch_up(slow)
        world.publish(AAPL, shown_book)
        world.timer.run()
        for client in (quick, slow):
            client.listen()
    assert slow.replicas["orderbookAAPL"].kinds[-2:] == ["orderbook_delta"] * 2
    assert slow.replicas["orderbookAAPL"].sides() == quick.replicas["orderbookAAPL"].sides()


events = st.lists(
    st.one_of(
        st.tuples(st.just("trades"), st.integers(1, 3), st.none()),
        st.tuples(st.just("trades"), st.integers(1, 9), st.none()),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.003, 0.3]), st.none()),
        st.tuples(
            st.just("subscribe"), who, st.tuples(st.sampled_from([0, 100]), st.integers(0, 12))
        ),
        st.tuples(st.just("hold"), who, st.none()),
        st.tuples(st.just("fill"), who, st.none()),
        st.tuples(st.just("catch_up"), who, st.none()),
    ),
    max_size=50,
)


@given(events)
def test_every_trade_comes_once_in_order_or_is_told_as_a_gap(
    script: list[tuple[str, Any, Any]],
) -> None:
    """From the place that a subscription names, to the newest."""
    world = World(history_size=10)
    made: list[list[int]] = []
    begun: dict[int, int] = {}
    for what, first, second in script:
        if what == "trades":
            number = sum(map(len, made))
            made.append(list(range(number, number + first)))
            world.publish(TRADES, trades(*made[-1]))
        elif what == "wait":
            world.timer.run_until(world.timer.now + first)
        elif what == "subscribe":
            interval_ms, history = second
            spec = V1._replace(interval_ms=interval_ms)
            client = world.clients[first]
            interest = world.engine.open_now(TRADES)
            place = world.hub.subscribe(client, interest, spec, history=history).position
            begun[first] = place.seq if place else 0
            world.subscribe(client, TRADES, spec, history)
        else:
            act = {"hold": world.hold, "fill": world.fill_up, "catch_up": world.catch_up}[what]
            act(world.clients[first])
        for client in world.clients:
            client.listen()
    world.settle()
    for number, seq in begun.items():
        replica = world.clients[number].replicas["tradesAAPL"]
        missing = {lost for gap in replica.gaps for lost in range(gap[0], gap[1] + 1)}
        expected = [
            size
            for place, sizes in enumerate(made, start=1)
            if place > seq and place not in missing
            for size in sizes
        ]
        assert replica.trades == expected


@given(st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-(2.0**53), 2.0**53))
def test_the_long_way_round_writes_the_same_numbers(number: float) -> None:
    """The tests' own way to write a number agrees with the server's."""
    from bookcast.model.book_delta import number_text

    assert js(number) == number_text(number)


@pytest.mark.parametrize(
    ("hints", "sentence"),
    [
        ([], "0700.HK: unknown stock"),
        (["HK.00700"], "0700.HK: unknown stock; did you mean HK.00700?"),
        (["HK.07203", "JP.7203"], "0700.HK: unknown stock; did you mean HK.07203 or JP.7203?"),
    ],
)
def test_a_refusal_names_what_may_have_been_meant(hints: list[str], sentence: str) -> None:
    """In the sentence of the base protocol, in a list beside the feed's words in bookcast.v1."""
    meant = [Symbol(hint) for hint in hints]
    base = Renderer(line).refusal(ViewSpec("base", "0700.HK"), AAPL, "unknown stock", meant)
    assert json.loads(base) == {"type": "error", "message": sentence}
    told = json.loads(Renderer(line).refusal(V1, AAPL, "unknown stock", meant))
    assert told == {
        "type": "error",
        "code": "feed_refused",
        "message": "unknown stock",
        "channel": "orderbook",
        "symbol": "AAPL",
        **({"did_you_mean": hints} if hints else {}),
    }


def test_what_the_feed_lacks_is_told_with_what_may_have_been_meant() -> None:
    """In a v1 client's status; a base client hears nothing."""
    lacking = FeedList("simulator", [AAPL.symbol])
    status = Status("pending", None, "it lacks it", did_you_mean=(AAPL.symbol,), lacking=lacking)
    assert Renderer(lambda text, _deflate: text).status(ViewSpec("base", "A"), AAPL, status) == b""
    told = json.loads(Renderer(lambda text, _deflate: text).status(V1, AAPL, status))
    assert (told["reason"], told["did_you_mean"]) == ("it lacks it", ["US.AAPL"])
    refused = status._replace(lacking=None)
    assert b"did_you_mean" not in Renderer(lambda text, _: text).status(V1, AAPL, refused)
