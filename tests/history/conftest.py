"""What the tests of the proof share."""

from __future__ import annotations

import pytest

from tests.history.story import Story


@pytest.fixture
def story() -> Story:
    """Begin a history."""
    return Story()
