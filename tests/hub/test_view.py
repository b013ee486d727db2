from bookcast.hub.view import View, ViewSpec
from bookcast.model import Update
from tests.support import update


def test_an_update_is_rendered_once_per_view() -> None:
    """However often a frame is asked for, the same bytes come back."""
    rendered: list[int] = []

    def render(spec: ViewSpec, shown: Update) -> bytes:
        rendered.append(shown.position.seq)
        return b"%d" % shown.position.seq

    view = View(ViewSpec("base", "AAPL"), render, emitted=None)
    assert view.last_frame() is None
    first = update(1)
    assert view.emit(first) is view.emit(first) is view.last_frame()
    view.emit(update(2))
    assert rendered == [1, 2]


def test_a_new_view_of_a_known_topic_begins_with_the_state_shown() -> None:
    """It shows what the other views were sent last."""
    view = View(ViewSpec("base", "AAPL"), lambda _spec, shown: b"x", emitted=update(7))
    assert view.last_frame() == b"x"
