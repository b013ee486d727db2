from bookcast.client.gaps import Gap, join_gaps

ONE, NEXT = Gap("e", 1, 3, "overflow"), Gap("e", 7, 9, "history")


def test_gaps_that_follow_each_other_are_one() -> None:
    """With the first one's reason."""
    assert join_gaps(ONE, NEXT) == Gap("e", 1, 9, "overflow")
    assert join_gaps(None, NEXT) == join_gaps(NEXT, None) == NEXT
    assert join_gaps(None, None) is None


def test_gaps_of_two_epochs_have_no_numbers() -> None:
    """Those of two epochs can't be compared."""
    assert join_gaps(ONE, Gap("f", 1, 2, "epoch")) == Gap("f", None, None, "overflow")
