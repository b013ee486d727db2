"""The flags and help of the command. Every setting is a flag."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Collection, Sequence
from typing import Any, Final, NoReturn

from bookcast.settings import ALIASES, COMMON, Description, describe
from bookcast.version import __version__

SCOPE_WORDS: Final = ("read", "publish", "admin")
MAX_LIFETIME: Final = 1e9

SIGNING: Final = frozenset(
    {
        "auth_jwt_secret",
        "auth_jwt_secrets_file",
        "auth_jwt_audience",
        "auth_jwt_client_id",
        "auth_jwt_issuer",
    }
)
"""The settings that ``bookcast token`` uses."""

ALL: Final = "--help-all"

WITH_SETTINGS: Final = {
    "serve": "serve WebSocket clients and publishers",
    "demo": "serve a simulated market, with a live page",
    "doctor": "find out why no data arrive from OpenD",
    "config": "show the value of every setting and its source",
}
CREDENTIALS: Final = {
    "token": "make a token (JWT) to try AUTH_MODE=jwt with",
    "key": "make an API key for a publisher",
}

EXAMPLES: Final = {
    "serve": (
        "bookcast serve --feed futu --futu-host 127.0.0.1",
        "bookcast serve --auth-mode jwt --auth-jwks-url https://issuer.example/jwks.json",
        "bookcast serve --workers 4 --redis-url redis://localhost:6379",
    ),
    "demo": (
        "bookcast demo",
        "bookcast demo --port 8010 --simulator-symbols AAPL,TSLA --simulator-rate 50",
    ),
    "doctor": (
        "bookcast doctor --feed futu",
        "bookcast doctor --futu-host 192.168.1.5",
        "bookcast doctor --report",
    ),
    "config": ("bookcast config", "ENVIRONMENT=production AUTH_MODE=none bookcast config"),
    "token": (
        "bookcast token alice --symbols 'US.*' --max-depth 10",
        "bookcast token bob --scope 'read publish' --lifetime 3600",
    ),
    "key": ("bookcast key pricing --symbols 'US.*'",),
}

NAMES: Final = (
    "Every setting is also an environment variable, or a line in .env: --websocket-port 9000 is\n"
    "WEBSOCKET_PORT=9000. 'bookcast config' shows all values and their sources."
)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence. It suggests the nearest flag for a misspelt one.

    Flags can't be abbreviated: the meaning of an abbreviation could change with each new setting.
    No error repeats a value, which may be a secret.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **{
                "allow_abbrev": False,
                "formatter_class": argparse.RawDescriptionHelpFormatter,
                **options,
            }
        )

    def error(self, message: str) -> NoReturn:
        """Exit with the sentence and code 2."""
        self.exit(2, f"bookcast: {message}; see {self.prog} --help\n")

    def knows(self, flag: str) -> bool:
        """Return whether the parser has a flag."""
        return flag in self._option_string_actions

    def flags(self) -> list[str]:
        """Return all flags."""
        return list(self._option_string_actions)

    def refuse(self, unknown: Sequence[str], known: Collection[str] = ()) -> NoReturn:
        """Exit because of unknown arguments. ``known``: more flags to suggest."""
        first = next((one for one in unknown if one.startswith("-")), unknown[0])
        name = first.partition("=")[0]
        self.error(f"{name} is not understood{_did_you_mean(name, [*self.flags(), *known])}")


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the arguments by name; a flag that wasn't given is None.

    Without arguments it prints the help, and ``command`` is None.

    Raises:
        SystemExit: after it printed help that was asked for, or an error.
    """
    parser, commands = _parser(everything=ALL in arguments)
    if not arguments:
        parser.print_help()
        return {"command": None}
    first = arguments[0].partition("=")[0]
    if first == ALL:
        commands["serve"].print_help()
        parser.exit()
    if not first.startswith("-") and first not in commands:
        parser.error(f"there is no command {first}{_did_you_mean(first, commands)}")
    if commands["serve"].knows(first) and not parser.knows(first):
        parser.error(f"{first} comes after a command, as in: bookcast serve {first}")
    if first.startswith("-") and not parser.knows(first):
        parser.refuse([first], commands["serve"].flags())
    given, unknown = parser.parse_known_args(arguments)
    if unknown:
        commands[given.command].refuse(unknown)
    return vars(given)


def _did_you_mean(name: str, known: Collection[str]) -> str:
    written = name.strip("-").replace("_", "-").lower()
    by_letters = {one.strip("-"): one for one in known}
    close = difflib.get_close_matches(written, by_letters, 1)
    return f"; did you mean {by_letters[close[0]]}?" if close else ""


def _parser(*, everything: bool) -> tuple[Parser, dict[str, Parser]]:
    """Return the parser, and those of the commands by name.

    ``everything``: the help has all settings, else the common ones.
    """
    parser = Parser(
        prog="bookcast",
        description="Real-time market data from one feed to thousands of WebSocket clients.",
        epilog="examples:\n  bookcast demo\n  bookcast serve --help\n\n" + NAMES,
    )
    parser.add_argument("--version", action="version", version=f"bookcast {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands: dict[str, Parser] = {}
    for name, help_ in {**WITH_SETTINGS, **CREDENTIALS}.items():
        epilog = "examples:\n" + "\n".join("  " + one for one in EXAMPLES[name])
        commands[name] = subparsers.add_parser(
            name, help=help_, description=help_[0].upper() + help_[1:] + ".", epilog=epilog
        )
    for name in WITH_SETTINGS:
        _add_settings(commands[name], everything=everything)
    commands["doctor"].add_argument(
        "--report",
        action="store_true",
        help="print a report on OpenD's undocumented behaviour, to send to the developers: "
        "versions, rights, states, labels of candles; nothing personal. It subscribes to two "
        "symbols for a minute",
    )
    for name in CREDENTIALS:
        _add_rights(commands[name], "read" if name == "token" else "publish")
        commands[name].add_argument(ALL, action="help", help=argparse.SUPPRESS)  # the same
    _add_signing(commands["token"])
    return parser, commands


def _add_settings(command: Parser, *, everything: bool) -> None:
    command.usage = "%(prog)s [--FLAG VALUE]..."
    more = "" if everything else f"\n\n{ALL} shows the other settings."
    command.epilog = f"{command.epilog}\n\n{NAMES}{more}"
    command.add_argument(ALL, action="help", help="show this help with every setting")
    groups: dict[str, Any] = {}
    for one in describe():
        if one.group not in groups:
            groups[one.group] = command.add_argument_group(one.group)
        _add_flag(groups[one.group], one, hidden=not everything and one.field not in COMMON)


def _add_flag(parser: Any, description: Description, *, hidden: bool = False) -> None:
    names = [description.flag] + [
        f"--{alias}" for alias, field in ALIASES.items() if field == description.field
    ]
    default = description.default
    shown = "" if default in {None, ()} else f" (default {description.text(default)})"
    parser.add_argument(
        *names,
        dest=description.field,
        metavar=description.placeholder,
        # argparse takes a single % for a format.
        help=argparse.SUPPRESS if hidden else (description.help + shown).replace("%", "%%"),
    )


def _add_rights(command: Parser, default: str) -> None:
    command.add_argument("name", help="the name of the user or program")
    command.add_argument(
        "--scope", help=f"one or more of {' '.join(SCOPE_WORDS)} (default {default})"
    )
    for field, kind, what in (
        ("symbols", str, "patterns: US.*,HK.00700 (default all)"),
        ("channels", str, "orderbook,trades,... (default all)"),
        ("max_depth", int, "maximum levels of a book"),
        ("min_interval_ms", int, "minimum milliseconds between two messages of a view"),
        ("max_subscriptions", int, "maximum subscriptions of one connection"),
    ):
        flag = "--" + field.replace("_", "-")
        command.add_argument(flag, type=kind, help=what, metavar=field.split("_")[-1].upper())


def _add_signing(token: Parser) -> None:
    for description in describe():
        if description.field in SIGNING:
            _add_flag(token, description)
    token.add_argument(
        "--lifetime",
        type=_positive,
        default=300.0,
        metavar="SECONDS",
        help="time until it expires (default 300, which ?token= accepts too)",
    )
    token.add_argument(
        "--key-file",
        metavar="PEM",
        help="a private key to sign it with (RS256, ES256), instead of AUTH_JWT_SECRET (HS256)",
    )


def _positive(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < MAX_LIFETIME:
        raise argparse.ArgumentTypeError(f"{text} is no lifetime; write a number of seconds")
    return seconds
