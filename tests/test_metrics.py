from prometheus_client import generate_latest

from bookcast.metrics import Number, registry_of


def test_numbers_are_read_when_asked_for() -> None:
    """Each reading gives what the owner says now."""
    values = [1, 2]
    registry = registry_of(
        [
            Number("people", "gauge", "People here", lambda: values[0]),
            Number("visits", "counter", "People that came", lambda: values[1]),
        ]
    )
    values[0] = 7
    text = generate_latest(registry).decode()
    assert "# HELP bookcast_people People here" in text
    assert "bookcast_people 7.0" in text
    assert "bookcast_visits_total 2.0" in text
