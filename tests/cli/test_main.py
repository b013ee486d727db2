from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bookcast.auth.keys import ApiKeys
from bookcast.cli import main


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Run where no .env is."""
    monkeypatch.chdir(tmp_path)


def test_no_command_shows_the_help_and_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing was done."""
    assert main.main([]) == 2
    assert "demo" in capsys.readouterr().out


def test_config_shows_values_and_sources(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Secrets stay hidden."""
    monkeypatch.setenv("BATCH_MS", "2")
    monkeypatch.setenv("REDIS_URL", "redis://:password@redis")
    Path(".env").write_text("SIMULATOR_SEED=5\n")
    assert main.main(["config", "--port", "9000"]) == 0
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
    assert main.main(["serve", "--batch-ms", "soon"]) == 2
    captured = capsys.readouterr()
    assert captured.err == (
        "bookcast: BATCH_MS is 'soon' (from the flag --batch-ms); expected a number, got text\n"
    )
    assert captured.out == ""


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "HOST",
            "x86_64-conda-linux-gnu",
            "HOST (from the environment) is 'x86_64-conda-linux-gnu'",
        ),
        ("AUTH_API_KEYS_FILE", "/no", "AUTH_API_KEYS_FILE (from the environment) is '/no'"),
        ("AUTH_RIGHTS_FILE", "/no", "AUTH_RIGHTS_FILE (from the environment) is '/no'"),
        ("FUTU_ENDPOINTS", "a:b:c", "FUTU_ENDPOINTS (from the environment) has 'a:b:c'"),
        ("FUTU_RSA_KEY_FILE", "/no", "FUTU_RSA_KEY_FILE (from the environment) is '/no'"),
    ],
)
def test_a_value_refused_at_the_start_says_where_it_came_from(
    name: str,
    value: str,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Like those that are refused when they are read."""
    monkeypatch.setenv(name, value)
    feed = "futu" if name.startswith("FUTU") else "none"
    assert main.main(["serve", "--port", "0", "--feed", feed]) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1


def test_a_misspelt_name_in_the_environment_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On standard error, and nothing else changes."""
    monkeypatch.setenv("WEBSOCKET_PROT", "1")
    assert main.main(["config"]) == 0
    captured = capsys.readouterr()
    assert captured.err == (
        "bookcast: warning: WEBSOCKET_PROT in the environment is no setting; did you mean "
        "WEBSOCKET_PORT?\n"
    )
    assert "WEBSOCKET_PROT" not in captured.out


def test_a_line_that_does_not_count_ends_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    """By one sentence, before anything is served."""
    Path(".env").write_text("FOO=1\nAUTH_MODE: jwt\n")
    assert main.main(["serve", "--port", "0"]) == 2
    assert capsys.readouterr().err == (
        "bookcast: .env, line 2: AUTH_MODE is not set by this; write AUTH_MODE=value, with quotes "
        "closed, or put a # before it\n"
    )


def test_a_feed_that_cannot_run_is_one_sentence_and_code_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without futu-api, FEED=futu says what to install."""
    from bookcast.feeds.futu import schema

    monkeypatch.setattr(schema, "find_spec", lambda _name: None)
    assert main.main(["serve", "--feed", "futu", "--port", "0"]) == 2
    assert "pip install futu-api" in capsys.readouterr().err


SECRET = "a secret of more than thirty-two bytes"


def test_a_token_is_made_by_the_settings_of_the_server(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the rights that are asked for."""
    monkeypatch.setenv("AUTH_JWT_SECRET", SECRET)
    monkeypatch.setenv("AUTH_JWT_AUDIENCE", "bookcast")
    monkeypatch.setenv("AUTH_JWT_ISSUER", "us")
    monkeypatch.setenv("AUTH_JWT_CLIENT_ID", "app")
    wanted = ["--scope", "read publish", "--symbols", "US.*, HK.00700", "--max-depth", "5"]
    assert main.main(["token", "alice", *wanted, "--lifetime", "60"]) == 0
    token = capsys.readouterr().out.strip()
    claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience="bookcast", issuer="us")
    assert claims["exp"] - claims["iat"] == 60
    assert (claims["sub"], claims["scope"]) == ("alice", "read publish")
    assert claims["client_id"] == "app"
    assert claims["bookcast"] == {"symbols": ["US.*", "HK.00700"], "max_depth": 5}


def test_a_token_may_be_signed_with_a_private_key(capsys: pytest.CaptureFixture[str]) -> None:
    """Of either kind that servers understand."""
    for key, algorithm in (
        (rsa.generate_private_key(65537, 2048), "RS256"),
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
    ):
        Path("key.pem").write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        assert main.main(["token", "alice", "--key-file", "key.pem"]) == 0
        token = capsys.readouterr().out.strip()
        claims = jwt.decode(token, key.public_key(), algorithms=[algorithm])
        assert (claims["sub"], claims["scope"]) == ("alice", "read")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["token", "me"], "There is nothing to sign a token with; set AUTH_JWT_SECRET"),
        (["token", "me", "--key-file", "none.pem"], "--key-file none.pem can't be used"),
        (["token", "me", "--auth-jwt-secret", SECRET, "--scope", "dance"], "no scope dance"),
        (["key", "me", "--channels", "gossip"], "channels[0]: there are orderbook, quote"),
    ],
)
def test_a_credential_that_cannot_be_made_is_one_sentence_and_code_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what to do."""
    assert main.main(arguments) == 2
    assert sentence in capsys.readouterr().err


def test_a_lifetime_is_a_number_of_seconds_above_zero(capsys: pytest.CaptureFixture[str]) -> None:
    """Others are refused like any wrong argument."""
    for wrong in ("0", "-5", "1e99", "soon"):
        with pytest.raises(SystemExit) as ended:
            main.main(["token", "me", f"--lifetime={wrong}"])
        assert ended.value.code == 2
        assert f"{wrong} is no lifetime; write a number of seconds" in capsys.readouterr().err


def test_a_key_comes_with_the_lines_that_the_server_needs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """They hold its hash, not the key."""
    assert main.main(["key", "pricing", "--symbols", "US.*"]) == 0
    key, _, lines = capsys.readouterr().out.partition("\n")
    Path("keys.toml").write_text(lines)
    found = ApiKeys.read("keys.toml", "US").find(key)
    assert found is not None
    assert (found.id, found.rights.symbols) == ("key:pricing", ("US.*",))
    assert key not in lines
