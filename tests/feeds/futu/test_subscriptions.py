from hypothesis import given
from hypothesis import strategies as st

from bookcast.feeds.futu.subscriptions import (
    MAX_BATCH,
    RELEASE_RETRY_SECONDS,
    RETRY_SECONDS,
    Action,
    Subscribe,
    SubscriptionPlanner,
    Unsubscribe,
)
from bookcast.model import Symbol

A, B, C = Symbol("US.A"), Symbol("US.B"), Symbol("US.C")
MINIMUM = 60.0


def planner(*wanted: Symbol, held_since: float | None = None) -> SubscriptionPlanner:
    """Make a planner with demand, and have it met if a time is given."""
    made = SubscriptionPlanner(MINIMUM)
    for symbol in wanted:
        made.want(symbol)
    if held_since is not None:
        made.done(take(made, held_since), held_since)
    return made


def take(plans: SubscriptionPlanner, now: float) -> Action:
    action = plans.next_action(now)
    assert action is not None
    return action


def test_what_is_wanted_is_subscribed_once_in_the_order_asked_for() -> None:
    """In one request."""
    plans = planner(B, A, B)
    assert plans.next_action(0) == Subscribe((B, A))
    plans.done(Subscribe((B, A)), 0)
    assert plans.next_action(0) is None
    assert plans.next_time() is None
    assert set(plans.held) == {A, B}


def test_what_is_unwanted_stays_for_its_minimum_time() -> None:
    """Wanted again meanwhile, it never goes."""
    plans = planner(A, held_since=10)
    plans.release(A)
    assert plans.next_action(69.9) is None
    assert plans.next_time() == 70
    plans.want(A)
    assert plans.next_time() is None
    assert plans.next_action(100) is None
    plans.release(A)
    assert plans.next_action(100) == Unsubscribe((A,))
    plans.done(Unsubscribe((A,)), 100)
    assert not plans.held
    assert plans.next_time() is None


def test_room_is_made_before_it_is_needed() -> None:
    """Letting go may free the quota that subscribing takes."""
    plans = planner(A, held_since=0)
    plans.release(A)
    plans.want(B)
    assert plans.next_action(60) == Unsubscribe((A,))


def test_what_opend_will_not_let_go_yet_is_tried_again_soon() -> None:
    """Until then it is held."""
    plans = planner(A, held_since=0)
    plans.release(A)
    assert plans.refused(take(plans, 60), "too early", 60) is None
    assert set(plans.held) == {A}
    assert plans.next_action(60) is None
    assert plans.next_time() == 60 + RELEASE_RETRY_SECONDS
    assert plans.next_action(60 + RELEASE_RETRY_SECONDS) == Unsubscribe((A,))


def test_a_bad_symbol_takes_no_other_down() -> None:
    """A refused request is repeated symbol by symbol; newcomers don't wait for that."""
    plans = planner(A, B)
    assert plans.refused(take(plans, 0), "no right", 0) is None
    assert plans.next_action(0) == Subscribe((A,))
    plans.want(C)
    assert plans.next_action(0) == Subscribe((C,))
    plans.done(Subscribe((C,)), 0)
    assert plans.refused(Subscribe((A,)), "no right for A", 0) == A
    assert plans.next_action(0) == Subscribe((B,))
    plans.done(Subscribe((B,)), 0)
    assert plans.next_action(0) is None
    assert plans.refusals[A].reason == "no right for A"


def test_a_refused_symbol_is_tried_again_later_and_alone() -> None:
    """Even if nobody wants it for a moment meanwhile."""
    plans = planner(A)
    plans.refused(take(plans, 5), "no right", 5)
    plans.release(A)
    assert plans.next_time() is None
    plans.want(A)
    assert plans.next_action(6) is None
    assert plans.next_time() == 5 + RETRY_SECONDS
    plans.want(B)
    plans.want(C)
    due = 5 + RETRY_SECONDS
    assert plans.next_action(due) == Subscribe((B, C))
    plans.done(Subscribe((B, C)), due)
    assert plans.next_action(due) == Subscribe((A,))


def test_a_lost_connection_loses_everything_held_and_every_refusal() -> None:
    """All that is wanted is asked for again at once."""
    plans = planner(A, held_since=0)
    plans.want(B)
    plans.refused(take(plans, 0), "no right", 0)
    plans.disconnected()
    assert not plans.held
    assert not plans.refusals
    assert plans.next_action(1) == Subscribe((A,))
    plans.done(Subscribe((A,)), 1)
    assert plans.next_action(1) == Subscribe((B,))


def test_what_opend_has_lost_is_subscribed_again() -> None:
    """Whatever it had said."""
    plans = planner(A, B, held_since=0)
    assert plans.confirm({A, B, C}, {A, B}) == []
    assert plans.confirm({A}, {A}) == []
    assert plans.confirm({A}, {A, B}) == [B]
    assert plans.next_action(1) == Subscribe((B,))


symbols = st.integers(0, 299).map(lambda number: Symbol(f"US.S{number}"))
steps = st.lists(
    st.tuples(
        st.sampled_from(["want", "release", "wait", "lost"]),
        st.sets(symbols, max_size=250),
        st.floats(0, 100),
    ),
    max_size=20,
)


@given(steps, st.sets(symbols, max_size=20))
def test_whatever_happens_the_plan_keeps_its_word(
    script: list[tuple[str, set[Symbol], float]], bad: set[Symbol]
) -> None:
    """All that is wanted and good gets held; nothing leaves early, no batch is too large."""
    plans = SubscriptionPlanner(MINIMUM)
    wanted: set[Symbol] = set()
    since: dict[Symbol, float] = {}
    now = 0.0
    for kind, some, seconds in script:
        if kind == "wait":
            now += seconds
        elif kind == "lost":
            plans.disconnected()
            since.clear()
        for symbol in some if kind in {"want", "release"} else ():
            (plans.want if kind == "want" else plans.release)(symbol)
            (wanted.add if kind == "want" else wanted.discard)(symbol)
        requests = 0
        while action := plans.next_action(now):
            requests += 1
            assert requests <= 2 * len(wanted | set(since) | bad) + 10, "it must come to an end"
            assert 0 < len(action.symbols) <= MAX_BATCH
            assert len(set(action.symbols)) == len(action.symbols)
            if isinstance(action, Unsubscribe):
                assert not wanted & set(action.symbols)
                assert all(now >= since.pop(symbol) + MINIMUM for symbol in action.symbols)
            else:
                assert wanted.issuperset(action.symbols)
                assert not set(since) & set(action.symbols)
                if bad.intersection(action.symbols):
                    plans.refused(action, "bad", now)
                    continue
                since.update(dict.fromkeys(action.symbols, now))
            plans.done(action, now)
        assert wanted - bad <= set(plans.held) == set(since)
        assert wanted & bad <= set(plans.refusals) <= bad
        due = plans.next_time()
        assert due is None or due > now
        assert (due is None) == (wanted - bad == set(since) and not wanted & bad)
