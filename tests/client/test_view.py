from bookcast.client.view import View, is_same, levels, union


def test_the_union_of_views_is_deepest_fastest_and_longest() -> None:
    """None is the deepest; deltas hold what whole books do."""
    one, other = View(5, "full", 100, 10), View(10, "delta", 500, 0)
    assert union(one, other) == union(other, one) == View(10, "delta", 100, 10)
    assert union(one, View(None, "full", 0, 0)) == View(None, "full", 0, 10)


def test_views_that_show_the_same_are_the_same() -> None:
    """History is sent once, and doesn't count."""
    assert is_same(View(5, "full", 0, 0), View(5, "full", 0, 9))
    assert not is_same(View(5, "full", 0, 0), View(None, "full", 0, 0))
    assert not is_same(View(5, "full", 0, 0), None)
    assert [levels(View(5, "full", 0, 0)), levels(View(None, "full", 0, 0))] == [5, float("inf")]
