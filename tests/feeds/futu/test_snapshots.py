from __future__ import annotations

from collections import deque
from collections.abc import Collection
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bookcast.feeds.futu.calls import MAX_SNAPSHOTS
from bookcast.feeds.futu.snapshots import (
    FASTEST_SECONDS,
    MAX_REQUESTS,
    RETRY_SECONDS,
    WINDOW_SECONDS,
    SnapshotPlanner,
)
from bookcast.model.topics import Symbol
from tests.budget import examples

A, B, HK = Symbol("US.A"), Symbol("US.B"), Symbol("HK.00700")


def symbols(count: int, market: str = "US") -> list[Symbol]:
    return [Symbol(f"{market}.S{number}") for number in range(count)]


def giving(*given_: Symbol) -> SnapshotPlanner:
    """Make a planner whose symbols OpenD has given, long ago."""
    planner = SnapshotPlanner()
    planner.want(given_)
    planner.done(given_)
    return planner


def test_nothing_is_asked_for_when_nothing_is_wanted() -> None:
    """A planner begins so."""
    assert SnapshotPlanner().next_request(0) == ()


def test_new_symbols_are_tried_together_and_then_polled() -> None:
    """Those of one market at a time."""
    planner = SnapshotPlanner()
    planner.want([A, B, HK])
    asked = []
    while request := planner.next_request(0):
        asked.append(request)
        planner.done(request)
        assert len(asked) < 9
    assert asked[:2] == [(A, B), (HK,)]
    assert planner.gives(A)
    assert planner.gives(HK)
    assert planner.next_request(2) == (A, B)


def poll(
    planner: SnapshotPlanner,
    limit: int,
    begin: float,
    end: float,
    bad: Collection[Symbol] = (),
) -> dict[Symbol, list[float]]:
    """Answer what is asked for, up to so many symbols at once; give when each was given."""
    given_at: dict[Symbol, list[float]] = {}
    for tenth in range(round(begin * 10), round(end * 10)):
        now = tenth / 10
        request = planner.next_request(now)
        if len(request) > limit or not set(request).isdisjoint(bad):
            planner.refused(request, now)
        elif request:
            planner.done(request)
            for symbol in request:
                given_at.setdefault(symbol, []).append(now)
    return given_at


@pytest.mark.parametrize(("count", "limit"), [(60, 20), (450, 400), (1000, 400), (100, 20), (9, 2)])
def test_how_many_opend_gives_at_once_is_learnt(count: int, limit: int) -> None:
    """By halving after a refusal; then every symbol comes as often as is said."""
    planner = SnapshotPlanner()
    planner.want(symbols(count, "HK"))
    poll(planner, limit, 0, 60)
    assert len(planner.given) == count
    every = planner.every_seconds
    given_at = poll(planner, limit, 60, 120)
    assert planner.every_seconds == every
    for times in given_at.values():
        gaps = [after - before for before, after in pairwise(times)]
        assert sum(gaps) / len(gaps) == pytest.approx(every, abs=0.1)


@pytest.mark.parametrize("bad", [(), (7,), (200, 449)])
def test_many_symbols_come_soon_although_few_go_together(bad: tuple[int, ...]) -> None:
    """What is learnt of one trial counts for the others, and a bad code holds up its own."""
    planner, wanted = SnapshotPlanner(), symbols(450, "HK")
    refused = {wanted[number] for number in bad}
    planner.want([*wanted, A])
    given_at = poll(planner, 20, 0, 40, refused)
    assert given_at.keys() == {A, *wanted} - refused


def test_a_bad_code_leaves_no_trials_small() -> None:
    """What comes later is tried together again."""
    planner, wanted = SnapshotPlanner(), symbols(450)
    planner.want(wanted[:2])
    poll(planner, MAX_SNAPSHOTS, 0, 1, wanted[:2])
    planner.want(wanted)
    assert planner.next_request(1) == tuple(wanted[2:402])


def test_a_request_without_an_answer_says_nothing_of_its_symbols() -> None:
    """They are tried again, and what was given stays given."""
    planner = SnapshotPlanner()
    planner.want([A, B])
    planner.unanswered(planner.next_request(0))
    planner.done(planner.next_request(0))
    planner.unanswered(planner.next_request(1))
    assert set(planner.given) == {A, B}


def test_a_large_batch_is_halved_before_a_symbol_is_blamed() -> None:
    """A batch no larger than one that passed has a symbol to blame."""
    wanted = symbols(8)
    planner = SnapshotPlanner()
    planner.want(wanted[:4])
    planner.done(planner.next_request(0))
    planner.want(wanted)
    planner.done(planner.next_request(0))
    planner.refused(planner.next_request(1), 1)
    assert planner.next_request(1) == tuple(wanted[4:])
    assert len(planner.given) == 8
    planner.refused(wanted[4:], 1)
    assert list(planner.given) == wanted[:4]


def test_given_symbols_are_asked_for_once_a_second() -> None:
    """Not sooner."""
    planner = giving(A, B)
    assert planner.every_seconds == FASTEST_SECONDS
    assert planner.next_request(0) == (A, B)
    assert planner.next_request(0.99) == ()
    assert planner.next_request(1) == (A, B)


def test_many_symbols_are_asked_for_in_turns_and_less_often() -> None:
    """As often as OpenD allows."""
    wanted = symbols(3 * MAX_SNAPSHOTS)
    planner = giving(*wanted)
    asked = [planner.next_request(0) for _ in range(4)]
    assert [len(request) for request in asked] == [MAX_SNAPSHOTS] * 3 + [0]
    assert [symbol for request in asked for symbol in request] == wanted
    assert planner.every_seconds == pytest.approx(3 * WINDOW_SECONDS / MAX_REQUESTS / 0.8)


def test_a_symbol_that_opend_refuses_is_left_out_for_a_while() -> None:
    """Two minutes; it isn't given."""
    planner = SnapshotPlanner()
    planner.want([A])
    planner.refused(planner.next_request(0), 0)
    assert not planner.gives(A)
    assert planner.next_request(RETRY_SECONDS - 0.1) == ()
    assert planner.next_request(RETRY_SECONDS) == (A,)


def test_when_one_of_several_is_to_blame_it_is_found_by_halving() -> None:
    """The others go on."""
    planner = giving(A, B)
    planner.refused(planner.next_request(0), 0)
    assert not planner.gives(A)
    assert planner.next_request(0) == (A,)
    planner.refused([A], 0)
    assert planner.next_request(0) == (B,)
    planner.done([B])
    assert planner.next_request(2) == (B,)
    assert planner.gives(B)


def test_what_is_no_longer_wanted_is_no_longer_asked_for() -> None:
    """Nor given, if the answer comes later; wanted again, it begins anew."""
    planner = giving(A, B)
    planner.want([B])
    assert not planner.gives(A)
    assert planner.next_request(0) == (B,)
    planner.done([A])
    assert not planner.gives(A)
    planner.want([A, B])
    assert planner.next_request(0) == (A,)


def test_symbols_that_opend_refuses_do_not_starve_those_that_it_gives() -> None:
    """They go on coming as often as said, however many others there are."""
    planner = giving(A)
    bad = symbols(300, "HK")
    planner.want([A, *bad])
    last, longest, now = 0.0, 0.0, 0.0
    while now < 300:
        request = planner.next_request(now)
        if request and A in request:
            longest, last = max(longest, now - last), now
        elif request:
            planner.refused(request, now)
        now = round(now + 0.1, 6)
    assert max(longest, now - last) <= 2 * planner.every_seconds


def test_all_symbols_are_tried_in_the_end() -> None:
    """Though many others are refused."""
    planner = SnapshotPlanner()
    bad, good = symbols(300, "HK"), symbols(30)
    planner.want([*bad, *good])
    now = 0.0
    while now < 1000 and not all(map(planner.gives, good)):
        request = planner.next_request(now)
        if set(request) & set(bad):
            planner.refused(request, now)
        else:
            planner.done(request)
        now = round(now + 0.1, 6)
    assert all(map(planner.gives, good))


some = st.sampled_from(symbols(8))
moves = st.lists(
    st.tuples(
        st.sampled_from(["want", "poll", "poll", "poll", "wait"]),
        st.sets(some),
        st.sampled_from([0.1, 1.0, 10.0, 130.0]),
    ),
    max_size=60,
)


@settings(max_examples=examples(100), deadline=None)
@given(st.sets(some), moves)
def test_whatever_happens_opends_bounds_are_kept(
    bad: set[Symbol], script: list[tuple[str, set[Symbol], float]]
) -> None:
    """So many requests in a window, so many symbols in one, and none that isn't wanted."""
    planner = SnapshotPlanner()
    wanted: set[Symbol] = set()
    asked: deque[float] = deque()
    now = 0.0
    for kind, some_symbols, seconds in script:
        if kind == "want":
            wanted = some_symbols
            planner.want(wanted)
        elif kind == "wait":
            now += seconds
        else:
            for _ in range(100):
                request = planner.next_request(now)
                if not request:
                    break
                asked.append(now)
                assert len([at for at in asked if at > now - WINDOW_SECONDS]) <= MAX_REQUESTS
                assert set(request) <= wanted
                assert len(set(request)) == len(request) <= MAX_SNAPSHOTS
                if bad & set(request):
                    planner.refused(request, now)
                else:
                    planner.done(request)
            else:
                pytest.fail("it must come to an end")
        assert {symbol for symbol in symbols(8) if planner.gives(symbol)} <= wanted - bad


@settings(max_examples=examples(50), deadline=None)
@given(st.integers(1, 2000))
def test_the_rounds_of_all_given_symbols_leave_room_for_others(count: int) -> None:
    """A fifth of what is allowed."""
    planner = giving(*symbols(count))
    batches = -(-count // MAX_SNAPSHOTS)
    in_a_window = batches * WINDOW_SECONDS / planner.every_seconds
    assert in_a_window <= MAX_REQUESTS * 0.8 + 1e-6
