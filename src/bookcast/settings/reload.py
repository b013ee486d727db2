"""Keys, secrets, rights and the log level, read again while the server runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from bookcast.errors import BookcastError
from bookcast.settings import FROM_FILE, Loaded, Settings, check, describe, with_source

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.4
"""How often files are looked at. One that has changed is read when it stays the same for so long:
it may be in the middle of being written."""

RETRY_SECONDS: Final = 2.0
"""How soon what could not be taken over is tried again."""

FILES: Final = (
    "auth_api_keys_file",
    "auth_rights_file",
    "auth_jwt_secrets_file",
    "auth_jwt_public_key_file",
)
"""Settings that name a file whose content may change."""

VALUES: Final = ("auth_jwt_secret", "redis_url", "log_level")
"""Settings whose value may change."""

Apply = Callable[[Settings], Awaitable[None]]
"""Takes new settings over: all of them, or raises BookcastError and changes nothing."""


class Rotated(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the settings stand that may change while the server runs.

    ``detail``: why the newest ones could not be taken over; those before hold. ``fixed``: those
    that come from the environment or a flag. ``restart_for``: those that have changed and take a
    restart.
    """

    detail: str | None = None
    fixed: list[str] = []
    restart_for: list[str] = []


class Rotation:
    """Reads the settings again when told, and when a file has changed.

    ``read`` reads them from everywhere they may stand, ``apply`` takes them over.
    """

    def __init__(self, loaded: Loaded, read: Callable[[], Loaded], apply: Apply) -> None:
        self._loaded = loaded
        self._read = read
        self._apply = apply
        self._asked = asyncio.Event()
        self.state = Rotated(fixed=_fixed(loaded))

    def ask(self) -> None:
        """Read the settings again soon, whether or not a file has changed."""
        self._asked.set()

    async def run(self) -> None:
        """Look at the files and wait to be asked, until cancelled."""
        read = seen = await asyncio.to_thread(signatures, watched(self._loaded))
        tried_at = 0.0
        loop = asyncio.get_running_loop()
        while True:
            asked = await self._wait()
            before, seen = seen, await asyncio.to_thread(signatures, watched(self._loaded))
            settled = seen != read and seen == before
            again = self.state.detail is not None and loop.time() - tried_at >= RETRY_SECONDS
            if asked or settled or again:
                paths, tried_at = watched(self._loaded), loop.time()
                await self.reload()
                read = seen
                if watched(self._loaded) != paths:
                    read = seen = await asyncio.to_thread(signatures, watched(self._loaded))

    async def _wait(self) -> bool:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    async def reload(self) -> None:
        """Read the settings and take over what may change. What can't be used changes nothing."""
        sources: Mapping[str, str] = {}
        try:
            loaded = self._read()
            sources = loaded.sources
            merged, restart_for = _merge(self._loaded.settings, loaded.settings)
            check(merged, sources)
            await self._apply(merged)
        except BookcastError as error:
            self._refuse(with_source(str(error), sources))
            return
        except Exception as error:
            logger.exception("reading the settings again met a fault of ours")
            self._refuse(f"a fault of ours: {type(error).__name__}")
            return
        # What takes a restart is still compared with what this process runs with.
        self._loaded = msgspec.structs.replace(loaded, settings=merged)
        self.state = Rotated(fixed=_fixed(loaded), restart_for=restart_for)
        logger.info(
            "settings read again",
            extra={"fixed": self.state.fixed, "restart_for": self.state.restart_for},
        )

    def _refuse(self, why: str) -> None:
        if why != self.state.detail:
            logger.error("the settings that were read again can't be used: %s", why)
        self.state = msgspec.structs.replace(self.state, detail=why)


def watched(loaded: Loaded) -> list[str]:
    """List the files that hold something which may change."""
    secrets = [
        source.removeprefix(FROM_FILE)
        for source in loaded.sources.values()
        if source.startswith(FROM_FILE)
    ]
    named = [getattr(loaded.settings, field) for field in FILES]
    return sorted({*secrets, *(path for path in named if path is not None)})


def signatures(paths: Iterable[str]) -> list[tuple[int, ...] | None]:
    """Return what changes with the content of each file; None for one that isn't there."""
    return [_signature(path) for path in paths]


def _signature(path: str) -> tuple[int, ...] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)


def _merge(running: Settings, found: Settings) -> tuple[Settings, list[str]]:
    """Return the running settings with what may change, and the names of what else has changed."""
    changing = {field: getattr(found, field) for field in (*FILES, *VALUES)}
    merged = msgspec.structs.replace(running, **changing)
    restart_for = [
        one.environment_name
        for one in describe()
        if getattr(merged, one.field) != getattr(found, one.field)
    ]
    return merged, restart_for


def _fixed(loaded: Loaded) -> list[str]:
    """Name the settings that may change, but come from where nothing does in a running process."""
    return [
        one.environment_name
        for one in describe()
        if one.field in VALUES
        and loaded.sources.get(one.field, "").startswith(("the environment", "the flag"))
    ]
