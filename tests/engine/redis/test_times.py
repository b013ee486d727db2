import pytest

from bookcast.engine.redis.times import EngineTimes


def test_others_have_an_audit_before_a_state_is_told_from_elsewhere() -> None:
    """Whoever follows a topic has the first word."""
    assert EngineTimes(audit=0.3).grace > 0.3
    with pytest.raises(ValueError, match=r"grace .* must be longer than 1 times audit"):
        EngineTimes(audit=3.0)
