"""The command: ``bookcast serve``, ``demo``, ``doctor``, ``config``."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from bookcast import logs
from bookcast.app import Server
from bookcast.errors import StartupError
from bookcast.settings import ALIASES, Description, Loaded, describe, load
from bookcast.version import __version__

DEMO: Final = {"feed": "simulator"}
"""What ``bookcast demo`` sets, unless told otherwise."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code: 0 done, 1 problems found, 2 not begun."""
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    command = given.pop("command")
    if command is None:
        parser.print_help()
        return 2
    try:
        if command == "demo":
            given = {**given, **{k: v for k, v in DEMO.items() if given[k] is None}}
        loaded = load(given)
        if command == "config":
            print(show_config(loaded))
            return 0
        logs.configure(loaded.settings)
        if command == "doctor":
            return _run(examine(loaded))
        return _run(serve_until_stopped(loaded))
    except StartupError as error:
        print(f"bookcast: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


async def serve_until_stopped(loaded: Loaded) -> int:
    """Serve until SIGINT or SIGTERM; a second one doesn't wait for anybody."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal(number: int, _frame: object) -> None:
        if stop.is_set():
            os._exit(128 + number)
        loop.call_soon_threadsafe(stop.set)

    previous = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        async with Server(loaded.settings) as server:
            if loaded.settings.feed == "simulator" and sys.stderr.isatty():
                print(f"\n  A simulated market is live at {server.http_url}/\n", file=sys.stderr)
            await stop.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return 0


async def examine(loaded: Loaded) -> int:
    """Say how OpenD and a running server are, and give 1 when something is wrong."""
    # Only here: what it needs is an extra.
    from bookcast.feeds.futu.doctor import examine as examine_opend  # noqa: PLC0415 - an extra

    report = await examine_opend(loaded.settings, Server(loaded.settings).http_url)
    print("\n".join(report.lines))
    return 1 if report.problems else 0


def show_config(loaded: Loaded) -> str:
    """Write each setting, its value and where the value came from."""
    rows = []
    for description in describe():
        value = getattr(loaded.settings, description.field)
        source = loaded.sources.get(description.field, "default")
        rows.append((description.environment_name, _show(description, value), source))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(
        f"{name:<{widths[0]}}  {value:<{widths[1]}}  {source}" for name, value, source in rows
    )


def _show(description: Description, value: Any) -> str:
    if value is None or value == ():
        return "-"
    if description.secret:
        return "(hidden)"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _run(main: Coroutine[Any, Any, int]) -> int:
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    try:
        # Not on every platform; asyncio's own loop serves as well, at more CPU a message.
        import uvloop  # noqa: PLC0415 - only the command chooses a loop

        loop_factory = uvloop.new_event_loop
    except ImportError:
        pass
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bookcast",
        description="Real-time market data from one feed to thousands of WebSocket clients.",
        epilog="Every setting is also an environment variable, or a line in .env: --websocket-port "
        "is WEBSOCKET_PORT. 'bookcast config' shows all values and where they come from.",
    )
    parser.add_argument("--version", action="version", version=f"bookcast {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, help_ in (
        ("serve", "serve WebSocket clients and publishers"),
        ("demo", "serve a simulated market, with a live page"),
        ("doctor", "say what is wrong when nothing arrives from OpenD"),
        ("config", "show every setting's value and where it came from"),
    ):
        command = commands.add_parser(name, help=help_, description=help_[0].upper() + help_[1:])
        for description in describe():
            _add_flag(command, description)
    return parser


def _add_flag(command: argparse.ArgumentParser, description: Description) -> None:
    names = [description.flag] + [
        f"--{alias}" for alias, field in ALIASES.items() if field == description.field
    ]
    default = "" if description.default in {None, ()} else f" (default {_default(description)})"
    command.add_argument(
        *names,
        dest=description.field,
        metavar="|".join(description.choices) or description.field.split("_")[-1].upper(),
        # argparse would read a % as its own.
        help=(description.help + default).replace("%", "%%"),
    )


def _default(description: Description) -> str:
    return _show(description, description.default)
