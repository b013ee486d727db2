from pathlib import Path

import pytest

from bookcast import cli


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run where no .env is."""
    monkeypatch.chdir(tmp_path)


def test_help_lists_every_command_and_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """Each setting is a flag with its default."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["serve", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "--websocket-port" in text
    assert "--port" in text
    assert "default 8002" in text
    assert "none|simulator|futu" in text


def test_no_command_shows_the_help_and_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing was done."""
    assert cli.main([]) == 2
    assert "demo" in capsys.readouterr().out


def test_config_shows_values_and_sources(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets stay hidden."""
    monkeypatch.setenv("BATCH_MS", "2")
    monkeypatch.setenv("REDIS_URL", "redis://:password@redis")
    Path(".env").write_text("SIMULATOR_SEED=5\n")
    assert cli.main(["config", "--port", "9000"]) == 0
    rows = {
        row.split()[0]: row.split(maxsplit=2)[1:] for row in capsys.readouterr().out.splitlines()
    }
    assert rows["WEBSOCKET_PORT"] == ["9000", "the flag --websocket-port"]
    assert rows["BATCH_MS"] == ["2.0", "the environment"]
    assert rows["SIMULATOR_SEED"] == ["5", ".env"]
    assert rows["HOST"] == ["127.0.0.1", "default"]
    assert rows["REDIS_URL"] == ["(hidden)", "the environment"]
    assert rows["AUTH_MODE"] == ["-", "default"]


def test_a_wrong_setting_is_one_sentence_and_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, without a traceback."""
    assert cli.main(["serve", "--batch-ms", "soon"]) == 2
    captured = capsys.readouterr()
    assert captured.err == (
        "bookcast: BATCH_MS is 'soon' (from the flag --batch-ms); expected a number, got text\n"
    )
    assert captured.out == ""


def test_a_feed_that_cannot_run_is_one_sentence_and_code_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without futu-api, FEED=futu says what to install."""
    from bookcast.feeds.futu import schema

    monkeypatch.setattr(schema, "find_spec", lambda _name: None)
    assert cli.main(["serve", "--feed", "futu", "--port", "0"]) == 2
    assert "pip install futu-api" in capsys.readouterr().err
