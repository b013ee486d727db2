from bookcast.sessions.outbox import FLUSH_BYTES, Outbox


def test_frames_are_joined_into_one_write() -> None:
    """A flush writes once, in order, and an empty one not at all."""
    writes: list[bytes] = []
    outbox = Outbox(writes.append)
    outbox.put(b"a")
    outbox.append(b"b")
    outbox.flush()
    outbox.flush()
    outbox.put(b"c")
    outbox.flush()
    assert writes == [b"ab", b"c"]


def test_many_answers_go_out_before_they_pile_up() -> None:
    """Who asks for much at once is answered in writes of a bounded size."""
    writes: list[bytes] = []
    outbox = Outbox(writes.append)
    for _ in range(10):
        outbox.put(bytes(FLUSH_BYTES // 4))
    assert [len(write) for write in writes] == [FLUSH_BYTES, FLUSH_BYTES]
