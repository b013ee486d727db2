from tests import budget


def test_a_share_is_run_and_never_nothing() -> None:
    """A test that has few examples keeps them."""
    assert budget.examples(400) == max(5, round(400 * budget.SHARE))
    assert budget.examples(3) >= 3
    assert budget.seconds(0.1) >= 1
