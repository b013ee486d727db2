"""Keys, secrets, rights and the log level, read again while the server runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from bookcast.background import Periodic
from bookcast.errors import BookcastError
from bookcast.settings import FROM_FILE, Loaded, Settings, check, describe, with_source
from bookcast.timing import Times

logger = logging.getLogger(__name__)

FILES: Final = (
    "auth_api_keys_file",
    "auth_rights_file",
    "auth_jwt_secrets_file",
    "auth_jwt_public_key_file",
)
"""Settings that name a file whose content may change."""

VALUES: Final = ("auth_jwt_secret", "redis_url", "log_level")
"""Settings whose value may change."""


class RotationTimes(Times, frozen=True, kw_only=True):
    """Intervals of reading the settings again.

    Attributes:
        look_seconds: how often files are looked at. One that has changed is read when it stays the
            same for so long: it may be in the middle of being written.
        retry_seconds: how soon what could not be taken over is tried again, at the next look.
    """

    LONGER: ClassVar = (("retry_seconds", 1, "look_seconds"),)

    look_seconds: float = 0.4
    retry_seconds: float = 2.0


Apply = Callable[[Settings], Awaitable[None]]
"""Takes new settings over: all of them, or raises BookcastError and changes nothing."""

Signatures = list[tuple[int, ...] | None]
"""What changes with the content of each file; None for one that isn't there."""


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

    def __init__(
        self,
        loaded: Loaded,
        read: Callable[[], Loaded],
        apply: Apply,
        times: RotationTimes | None = None,
    ) -> None:
        self._loaded = loaded
        self._read = read
        self._apply = apply
        self._times = times or RotationTimes()
        self._looking = Periodic(self._look, self._times.look_seconds, "rotation")
        self._asked = False
        self._tried_at = 0.0
        # The files as they were when they were read, and when they were looked at.
        self._known: Signatures = []
        self._seen: Signatures = []
        self.state = Rotated(fixed=_fixed(loaded))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Look at the files, which are as they were read, for the length of a block."""
        await self._take_note()
        self._looking.start()
        try:
            yield
        finally:
            await self._looking.close()

    def ask(self) -> None:
        """Read the settings again soon, whether or not a file has changed."""
        self._asked = True
        self._looking.trigger()

    async def _look(self) -> None:
        asked, self._asked = self._asked, False
        now = asyncio.get_running_loop().time()
        before, self._seen = self._seen, await self._signatures()
        settled = self._seen != self._known and self._seen == before
        again = self.state.detail is not None and now - self._tried_at >= self._times.retry_seconds
        if asked or settled or again:
            paths, self._tried_at = watched(self._loaded), now
            await self.reload()
            self._known = self._seen
            if watched(self._loaded) != paths:
                await self._take_note()

    async def _take_note(self) -> None:
        self._known = self._seen = await self._signatures()

    async def _signatures(self) -> Signatures:
        return await asyncio.to_thread(signatures, watched(self._loaded))

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


def signatures(paths: Iterable[str]) -> Signatures:
    """Take the signature of each file."""
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
