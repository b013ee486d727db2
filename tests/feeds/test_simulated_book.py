import pytest

from bookcast.feeds.simulated_book import SimulatedBook
from bookcast.model.topics import Symbol


@pytest.mark.parametrize("depth", [1, 10, 40])
def test_a_book_is_as_deep_as_asked_for(depth: int) -> None:
    """At every step, on both sides."""
    simulated = SimulatedBook(Symbol("US.AAPL"), 1, depth)
    for _ in range(500):
        simulated.step(0.0)
        assert len(simulated.book().bids) == len(simulated.book().asks) == depth


def test_trades_take_the_best_prices_of_the_other_side() -> None:
    """Who buys pays the asks; the size leaves the book."""
    simulated = SimulatedBook(Symbol("HK.00700"), 1)
    sides = set()
    for _ in range(2000):
        bid, ask = simulated.best()
        simulated.step(0.0)
        for fill in simulated.fills[:1]:
            sides.add(fill.side)
            assert fill.size > 0
            assert abs(fill.price - (ask if fill.side == "buy" else bid)) < 20
    assert sides == {"buy", "sell"}
