"""Notices of the nodes of one process."""

import pytest

from bookcast.cluster.feed_status.memory import MemoryFeedStatus, SharedNotices
from bookcast.errors import FencedError


def never() -> dict[str, bytes]:
    raise AssertionError("nobody reads it")


async def test_notices_that_nobody_reads_are_not_made() -> None:
    """A single node has its feed at hand."""
    board = MemoryFeedStatus()
    board.begin()
    await board.post(never, 1)
    assert board.notices == {}


async def test_notices_are_made_as_long_as_another_node_is_there() -> None:
    """The last ones stay."""
    shared = SharedNotices()
    one, other = MemoryFeedStatus(shared), MemoryFeedStatus(shared)
    await one.post(lambda: {"a": b"1"}, 1)
    await other.close()
    await one.post(never, 2)
    assert one.notices == {"a": b"1"}
    with pytest.raises(FencedError, match="under 2"):
        await one.post(never, 1)
