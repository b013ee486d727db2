import re
import shlex

import pytest

from bookcast.cli.arguments import EXAMPLES, parse
from bookcast.settings import COMMON, describe
from bookcast.settings.describe import GROUPS


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


def flags_of(help_: str) -> set[str]:
    return set(re.findall(r"^  (--[a-z-]+)", help_, re.MULTILINE))


def test_a_flag_sets_a_field() -> None:
    """Under its name or the short one; what isn't given is None."""
    given = parse(["serve", "--batch-ms", "2", "--port=9000"])
    assert (given["command"], given["batch_ms"], given["websocket_port"]) == ("serve", "2", "9000")
    assert given["host"] is None


@pytest.mark.parametrize("command", ["serve", "demo", "doctor", "config"])
def test_the_help_is_short_and_all_of_it_is_there_on_demand(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In groups, with words for values, defaults and examples."""
    short, full = shown(capsys, command, "--help"), shown(capsys, command, "--help-all")
    every = {one.flag for one in describe()}
    own = {"--help-all", "--report"} if command == "doctor" else {"--help-all"}
    assert flags_of(full) - own == every
    assert flags_of(short) - own == {o.flag for o in describe() if o.field in COMMON}
    assert len(short.splitlines()) < 100
    for text in (short, full):
        assert "--websocket-port PORT, --port PORT" in text
        assert "(default 8002)" in text
        assert "none|simulator|futu|moomoo" in text
        assert "true|false" in text
        assert f"\nexamples:\n  {EXAMPLES[command][0]}\n" in text
        assert "\nAuthentication:\n" in text
    assert "--help-all shows the other settings" in short
    assert all(f"\n{group}:\n" in full for group in GROUPS.values())
    assert "\nLimits:\n" not in short


def test_every_setting_is_in_the_help_without_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    """When all of it is asked for."""
    assert flags_of(shown(capsys, "--help-all")) > {one.flag for one in describe()}


@pytest.mark.parametrize("command", ["token", "key"])
def test_every_command_knows_both_helps(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They are the same where there are no settings."""
    assert shown(capsys, command, "--help-all") == shown(capsys, command, "--help")


@pytest.mark.parametrize("command", EXAMPLES)
def test_examples_are_commands_that_are_understood(command: str) -> None:
    """As they stand in the help."""
    for example in EXAMPLES[command]:
        arguments = example.partition("bookcast ")[2]
        assert parse(shlex.split(arguments))["command"] == command


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["serve", "--websocket-prot", "9000"], "did you mean --websocket-port?"),
        (["serve", "--prot=9000"], "--prot is not understood; did you mean --port?"),
        (["serve", "-port", "9000"], "-port is not understood; did you mean --port?"),
        (["serve", "--redis_url", "x"], "--redis_url is not understood; did you mean --redis-url?"),
        (["demo", "--simulator-symbol", "A"], "did you mean --simulator-symbols?"),
        (["serve", "--log-leve", "debug"], "did you mean --log-level?"),
        (["serve", "WEBSOCKET_PORT=9000"], "did you mean --websocket-port?"),
        (["config", "--xyzzy"], "--xyzzy is not understood; see bookcast config --help"),
        (["serve", "--host"], "--host: expected one argument; see bookcast serve --help"),
        (["token", "bob", "--scop", "read"], "--scop is not understood; did you mean --scope?"),
        (["sevre"], "there is no command sevre; did you mean serve?"),
        (["start"], "there is no command start"),
        (["--versoin"], "--versoin is not understood; did you mean --version?"),
        (["--port", "9000"], "--port comes after a command, as in: bookcast serve --port"),
        (["-x"], "-x is not understood; see bookcast --help"),
        (["--websocket-prot", "9000"], "did you mean --websocket-port?; see bookcast --help"),
    ],
)
def test_what_is_misspelt_gets_the_nearest(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one sentence, with code 2."""
    assert sentence in refused(capsys, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--auth-jwt-secrt=hunter2"],
        ["serve", "--auth-jwt-secrt", "hunter2"],
        ["serve", "AUTH_JWT_SECRET=hunter2"],
        ["serve", "--auth-jwt=hunter2"],
        ["--auth-jwt-secret=hunter2", "serve"],
    ],
)
def test_no_refusal_repeats_a_value(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be a secret."""
    assert "hunter2" not in refused(capsys, *arguments)
