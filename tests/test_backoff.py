import pytest

from bookcast.backoff import delay


@pytest.mark.parametrize(("failures", "longest"), [(1, 0.5), (2, 1), (5, 8), (6, 15), (10_000, 15)])
def test_attempts_grow_rarer_up_to_a_cap_and_with_jitter(failures: int, longest: float) -> None:
    """However long the peer stays away."""
    assert delay(failures, 1, first=0.5, most=15) == longest
    assert delay(failures, 0, first=0.5, most=15) == longest / 2
