"""A node's pulse, with a clock and answers that the test controls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from bookcast.backplane.base import Backplane
from bookcast.backplane.pulse import Pulse, PulseTimes
from bookcast.errors import EngineAwayError
from tests.backplane.links import plane
from tests.support import eventually

TIMES = PulseTimes(pulse=0.01, deaf=3.0, living=3.5)


class Heart:
    """A pulse, and a record of its results."""

    def __init__(self, made: Backplane) -> None:
        self.plane = made
        self.now = 100.0
        self.said = 0
        self.events: list[str] = []
        self.answer: Callable[[], bool] = lambda: True
        self.pulse = Pulse(
            made,
            self._say,
            TIMES,
            returned=self._return,
            forgotten=lambda: self.events.append("forgotten"),
            clock=lambda: self.now,
        )

    async def _say(self) -> bool:
        self.said += 1
        return self.answer()

    def _return(self) -> None:
        self.events.append("returned")
        self.plane.breaker.succeed()

    async def beats(self, times: int = 3) -> None:
        target = self.said + times
        await eventually(lambda: self.said >= target, "the pulse")


def no_answer() -> bool:
    raise EngineAwayError("gone")


@pytest.fixture
async def heart(redis_url: str) -> AsyncIterator[Heart]:
    async with plane(redis_url) as made:
        one = Heart(made)
        yield one
        await one.pulse.close()


async def test_it_beats_again_and_again(heart: Heart) -> None:
    """It goes on after any failure, also one of ours, and beats at once on request."""
    await heart.pulse.beat()
    assert heart.said == 1
    heart.pulse.start()
    heart.pulse.beat_soon()
    await heart.beats()
    heart.answer = no_answer
    await heart.beats()
    heart.answer = lambda: bool(1 / 0)
    await heart.beats()
    assert heart.events == []
    await heart.pulse.close()
    said = heart.said
    await asyncio.sleep(TIMES.pulse * 2)
    assert heart.said == said


async def test_a_node_that_was_forgotten_is_told(heart: Heart) -> None:
    """Once for each answer that says so."""
    heart.answer = lambda: False
    await heart.pulse.beat()
    await heart.pulse.beat()
    assert heart.events == ["forgotten", "forgotten"]


async def test_an_answer_after_an_outage_is_a_return(heart: Heart) -> None:
    """Whether Redis has forgotten the node meanwhile or not."""
    for known in (True, False):
        heart.plane.breaker.fail("gone")
        heart.answer = no_answer
        await heart.pulse.beat()
        assert heart.plane.breaker.is_open
        heart.answer = lambda known=known: known  # type: ignore[misc] # no type can be inferred for a lambda with a default
        await heart.pulse.beat()
        assert not heart.plane.breaker.is_open
    assert heart.events == ["returned", "returned"]


async def test_who_doesnt_hear_their_own_pulse_subscribes_anew(heart: Heart) -> None:
    """Not while Redis is away, nor before it was time; then once."""
    reasons: list[str] = []
    heart.plane.subscriber.reconnect = reasons.append  # type: ignore[method-assign,assignment] # it is watched
    heart.pulse.start()
    heart.now += TIMES.deaf
    await heart.beats()
    assert reasons == []
    heart.pulse.hear()
    heart.now += TIMES.deaf
    await heart.beats()
    assert reasons == []
    heart.now += 0.1
    await eventually(lambda: bool(reasons), "a new subscription")
    await heart.beats()
    assert len(reasons) == 1
    heart.answer = no_answer
    heart.plane.breaker.fail("gone")
    heart.now += TIMES.deaf * 2
    await heart.beats(1)
    assert len(reasons) == 1


@pytest.mark.parametrize("wrong", [{"pulse": 1.5}, {"deaf": 2.0}, {"living": 1.0}])
def test_a_pulse_may_get_lost(wrong: dict[str, float]) -> None:
    """A single lost pulse makes no node count as deaf or dead."""
    with pytest.raises(ValueError, match="must be longer than 2 times pulse"):
        PulseTimes(**wrong)
