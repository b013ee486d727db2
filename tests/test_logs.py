import json
import logging

import pytest

from bookcast import logs
from bookcast.settings import from_keywords


def test_development_logs_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Level, sentence and the module's name, at the level asked for."""
    logs.configure(from_keywords(log_level="info"))
    logging.getLogger("bookcast.hub").info("client %r came", "me")
    logging.getLogger("bookcast.hub").debug("unseen")
    line = capsys.readouterr().err
    assert "client 'me' came" in line
    assert "[bookcast.hub]" in line
    assert "unseen" not in line


def test_production_logs_json_without_the_values_of_variables(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One object a line; a traceback never shows what variables held."""
    logs.configure(from_keywords(environment="production", auth_mode="none"))
    secret = "hush"
    try:
        int(secret[:0])
    except ValueError:
        logging.getLogger("bookcast.app").exception("it failed")
    text = capsys.readouterr().err
    entry = json.loads(text)
    assert (entry["event"], entry["level"], entry["logger"]) == (
        "it failed",
        "error",
        "bookcast.app",
    )
    assert "hush" not in text
