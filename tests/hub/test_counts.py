from hypothesis import given
from hypothesis import strategies as st

from bookcast.hub.counts import DeliveryCounts

COUNTS = st.builds(DeliveryCounts, *[st.integers(0, 2**40)] * 4)


@given(COUNTS, COUNTS)
def test_counts_are_added_and_taken_apart_one_by_one(
    one: DeliveryCounts, other: DeliveryCounts
) -> None:
    """As sums, not as tuples that are joined."""
    assert (one + other).received == one.received + other.received
    assert one + other - other == one
