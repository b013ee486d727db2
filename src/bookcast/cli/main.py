"""The command: ``bookcast serve``, ``demo``, ``doctor``, ``config``, ``token``, ``key``."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from bookcast.auth import keys, tokens
from bookcast.auth.principal import SCOPES, Grant, read_grant
from bookcast.cli import arguments as command_line
from bookcast.cli import workers
from bookcast.cli.arguments import SCOPE_WORDS
from bookcast.errors import InvalidInput, StartupError
from bookcast.observability import logs
from bookcast.server import Server
from bookcast.settings import Description, Loaded, Settings, describe, load, with_source
from bookcast.settings.reload import Rotation

logger = logging.getLogger(__name__)

RIGHTS: Final = (
    "scope",
    "symbols",
    "channels",
    "max_depth",
    "min_interval_ms",
    "max_subscriptions",
)
DEMO: Final = {"feed": "simulator"}
"""The settings of ``bookcast demo``, unless flags change them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return its exit code: 0 done, 1 problems found, 2 couldn't start."""
    arguments = sys.argv[1:] if arguments is None else arguments
    given = command_line.parse(arguments)
    command = given.pop("command")
    if command is None:
        return 2
    try:
        return _do(command, given, arguments)
    except StartupError as error:
        print(f"bookcast: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _do(command: str, given: dict[str, Any], arguments: Sequence[str]) -> int:
    if command in {"token", "key"}:
        print(make_token(given) if command == "token" else make_key(given))
        return 0
    if command == "demo":
        given = {**given, **{k: v for k, v in DEMO.items() if given[k] is None}}
    report = bool(given.pop("report", False))

    def read() -> Loaded:
        return load(given)

    loaded = read()
    try:
        if command == "config":
            _print_warnings(loaded)
            print(show_config(loaded))
            return 0
        return _run_command(command, loaded, read, arguments, report=report)
    except StartupError as error:
        raise StartupError(with_source(str(error), loaded.sources)) from None


def _run_command(
    command: str,
    loaded: Loaded,
    read: Callable[[], Loaded],
    arguments: Sequence[str],
    *,
    report: bool,
) -> int:
    """Run a server, a group of workers, or the doctor. ``read`` reads the settings again."""
    worker = workers.worker_of(os.environ)
    _hold_standard_files()
    has_workers = loaded.settings.workers > 1 and worker is None
    node = "" if has_workers or command == "doctor" else secrets.token_hex(4)
    logs.configure(loaded.settings, worker=worker.number if worker is not None else None, node=node)
    if worker is None:
        for warning in loaded.warnings:
            logger.warning("%s", warning)
    _allow_many_files()
    if hasattr(signal, "SIGHUP") and not _in_terminal():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the server handles it
    if command == "doctor":
        return _run(examine(loaded, for_developers=report))
    if has_workers:
        return _run(run_workers(loaded, arguments))
    server = (Demo if command == "demo" and worker is None else Server)(
        loaded.settings, worker, node
    )
    return _run(serve_until_stopped(server, loaded, read))


def _print_warnings(loaded: Loaded) -> None:
    for warning in loaded.warnings:
        print(f"bookcast: warning: {warning}", file=sys.stderr)


def make_token(given: dict[str, Any]) -> str:
    """Return a new token that a server with the same settings accepts."""
    flags = {one.field: given[one.field] for one in describe() if one.field in given}
    loaded = load(flags)
    _print_warnings(loaded)
    settings = loaded.settings
    claims: dict[str, Any] = {"sub": given["name"]}
    if settings.auth_jwt_audience:
        claims["aud"] = settings.auth_jwt_audience
    if settings.auth_jwt_client_id:
        claims["client_id"] = settings.auth_jwt_client_id
    if settings.auth_jwt_issuer:
        claims["iss"] = settings.auth_jwt_issuer
    grant = msgspec.to_builtins(_grant(given))
    claims["scope"] = grant.pop("scope", "read")
    if grant:
        claims["bookcast"] = grant
    return tokens.mint(
        claims,
        lifetime=given["lifetime"],
        secret=settings.auth_jwt_secret,
        private_key_file=given["key_file"],
        secrets_file=settings.auth_jwt_secrets_file,
    )


def make_key(given: dict[str, Any]) -> str:
    """Return a new API key, and the lines for it in the server's file of keys."""
    key, digest = keys.make_key()
    return (
        f"{key}\n\n# This is the only time that the key is shown. AUTH_API_KEYS_FILE needs:\n"
        f"{keys.key_table(given['name'], digest, _grant(given))}"
    )


def _grant(given: dict[str, Any]) -> Grant:
    said = {field: given[field] for field in RIGHTS if given[field] is not None}
    for field in ("symbols", "channels"):
        if field in said:
            said[field] = [one.strip() for one in said[field].split(",") if one.strip()]
    unknown = set(str(said.get("scope", "")).replace(",", " ").split()) - SCOPES
    if unknown:
        raise StartupError(
            f"There is no scope {', '.join(unknown)}; there are {' '.join(SCOPE_WORDS)}"
        )
    try:
        return read_grant(said, "The rights")
    except InvalidInput as error:
        raise StartupError(error.message) from None


class Demo(Server):
    """A server that prints the address of its page when it starts."""

    def announce(self) -> None:
        """Print the address to open, before the first log line."""
        # localhost is the more familiar name.
        url = self.http_url.replace("//127.0.0.1:", "//localhost:")
        print(f"open {url}/", file=sys.stderr, flush=True)
        super().announce()


async def serve_until_stopped(server: Server, loaded: Loaded, read: Callable[[], Loaded]) -> int:
    """Serve until SIGINT or SIGTERM. A second signal ends the drain of clients at once.

    On SIGHUP, or when a file has changed, it reads its settings again with ``read``.
    """

    async def apply(settings: Settings) -> None:
        await server.renew(settings)
        logs.set_level(settings.log_level)

    with _signals() as (stop, hurry, hang_up):
        rotation = Rotation(loaded, read, apply)
        server.rotated = lambda: rotation.state
        hang_up.append(rotation.ask)
        async with server, rotation.running():
            # What was made so far lasts until the end, so the garbage collector needn't look at it
            # again: its longest pauses become less than half as long.
            gc.collect()
            gc.freeze()
            await _wait_for_stop(stop, is_worker=server.is_worker)
            await server.drain(hurry=hurry)
    return 0


async def _wait_for_stop(stop: asyncio.Event, *, is_worker: bool) -> None:
    """Wait for a signal to stop. A worker also stops when its parent process is gone."""
    waits: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
    if is_worker:
        waits.append(asyncio.create_task(workers.parent_is_gone()))
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in waits:
        task.cancel()


async def run_workers(loaded: Loaded, arguments: Sequence[str]) -> int:
    """Run several worker processes until SIGINT or SIGTERM, which is passed on to them."""
    settings = loaded.settings
    held, port = workers.hold_port(settings.address, settings.websocket_port)
    with contextlib.ExitStack() as stack:
        for sock in held:
            stack.enter_context(sock)
        stop, hurry, hang_up = stack.enter_context(_signals())
        group = workers.Workers(arguments, count=settings.workers, port=port)
        hang_up.append(group.hang_up)
        hurrying = asyncio.create_task(hurry.wait(), name="hurry")
        hurrying.add_done_callback(
            lambda task: None if task.cancelled() else group.end(signal.SIGTERM)
        )
        try:
            return await group.run(stop)
        finally:
            hurrying.cancel()


def _in_terminal() -> bool:
    """Return whether this process runs in a terminal, whose closing must end it (SIGHUP)."""
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except ValueError:  # it is closed
        return False


@contextlib.contextmanager
def _signals() -> Iterator[tuple[asyncio.Event, asyncio.Event, list[Callable[[], None]]]]:
    """Handle signals: yield the event of the first one, of the second, and SIGHUP's functions.

    A third SIGINT or SIGTERM exits the process. In a terminal, SIGHUP keeps its default: it ends
    the process.
    """
    loop = asyncio.get_running_loop()
    stop, hurry = asyncio.Event(), asyncio.Event()
    hang_up: list[Callable[[], None]] = []

    def on_hang_up(_number: int, _frame: object) -> None:
        for function in hang_up:
            loop.call_soon_threadsafe(function)

    def on_signal(number: int, _frame: object) -> None:
        if hurry.is_set():
            os._exit(128 + number)
        event = hurry if stop.is_set() else stop
        loop.call_soon_threadsafe(event.set)

    previous = {
        number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)
    }
    if hasattr(signal, "SIGHUP") and not _in_terminal():
        previous[signal.SIGHUP] = signal.signal(signal.SIGHUP, on_hang_up)
    try:
        yield stop, hurry, hang_up
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


async def examine(loaded: Loaded, *, for_developers: bool) -> int:
    """Print the state of OpenD and of a running server. Return 1 when something is wrong.

    ``for_developers``: print instead a report on OpenD's undocumented behaviour.
    """
    # Imported here: it needs the futu extra.
    from bookcast.feeds.futu import doctor  # noqa: PLC0415 - an extra

    if for_developers:
        report = await doctor.take_readings(loaded.settings)
    else:
        report = await doctor.examine(loaded.settings, Server(loaded.settings).http_url)
    print("\n".join(report.lines))
    return 1 if report.problems else 0


def show_config(loaded: Loaded) -> str:
    """Return a table of the settings with their values and sources."""
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
    return description.text(value)


def _hold_standard_files() -> None:
    """Open /dev/null for closed standard files, so that no connection gets their descriptors."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest free descriptor is the one of the closed file.
            stream = Path(os.devnull).open(mode)  # noqa: SIM115 - for as long as the process runs
            setattr(sys, name, stream)


def _allow_many_files() -> None:
    """Raise this process's limit of open files to the system's maximum."""
    try:
        import resource  # noqa: PLC0415 - not on every platform
    except ImportError:
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _run(main: Coroutine[Any, Any, int]) -> int:
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    try:
        # uvloop isn't on every platform. asyncio's loop works too, with more CPU per message.
        import uvloop  # noqa: PLC0415 - only the command chooses a loop

        loop_factory = uvloop.new_event_loop
    except ImportError:
        pass
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(main)
