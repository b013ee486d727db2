"""Keys that tokens are signed with, as their issuer publishes them: cached, and looked up anew."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

import jwt

from bookcast.background import Periodic
from bookcast.errors import BookcastError, InvalidInput, SettingError
from bookcast.fetch import fetch_json
from bookcast.timing import Times

logger = logging.getLogger(__name__)


class JwksTimes(Times, frozen=True, kw_only=True):
    """Intervals of asking an issuer for its keys.

    Attributes:
        refresh_seconds: keys that were withdrawn are believed no longer than this.
        retry_seconds: tokens with made-up key ids make us ask the issuer no more often than this;
            a failed attempt is made again after it.
        timeout_seconds: a read of the answer is waited for so long; the whole of it twice as long.
    """

    LONGER: ClassVar = (("refresh_seconds", 1, "retry_seconds"),)

    refresh_seconds: float = 300.0
    retry_seconds: float = 5.0
    timeout_seconds: float = 5.0


class UnknownKey(BookcastError):
    """A token names a key that isn't known, and asking its issuer may help."""


class Jwks:
    """A JSON Web Key Set at an address, ``http(s)://``, ``file://`` or a path.

    ``clock`` gives monotonic seconds; ``fetch`` reads the set, and may block.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        fetch: Callable[[], Any] | None = None,
        times: JwksTimes | None = None,
    ) -> None:
        self._times = times or JwksTimes()
        scheme = urlsplit(url).scheme.lower()
        if scheme not in {"", "file", "http", "https"}:
            raise SettingError(
                f"AUTH_JWKS_URL is {url!r}; it must be an http(s):// or file:// address, or a path"
            )
        self.url = url if scheme else Path(url).absolute().as_uri()
        self._fetch = fetch or _reader(self.url, self._times.timeout_seconds)
        self._clock = clock
        self._keys: list[jwt.PyJWK] = []
        self._asked_at = -self._times.retry_seconds
        self._asking: asyncio.Task[None] | None = None
        self.fault = "they haven't been asked for yet"
        """Why the newest attempt to get the keys failed; empty when it didn't."""

    def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK:
        """Return the key that a token names.

        Raises:
            UnknownKey: when :meth:`refresh` may help.
            InvalidInput: when there is no such key.
        """
        fitting = [
            key
            for key in self._keys
            if key.algorithm_name == algorithm and (key_id is None or key.key_id == key_id)
        ]
        if len(fitting) == 1 or (fitting and key_id is not None):
            return fitting[0]
        if self._may_ask:
            raise UnknownKey
        if self.fault:
            raise InvalidInput("keys_unavailable", "The keys to check tokens with can't be had now")
        raise InvalidInput("invalid_token", "The token is signed with a key that isn't known here")

    def candidates(self, key_id: str | None, algorithm: str) -> list[tuple[jwt.PyJWK, str]]:
        """Return the key that a token names. It has no fingerprint: the issuer takes keys back.

        Raises:
            UnknownKey: when :meth:`refresh` may help.
            InvalidInput: when there is no such key.
        """
        return [(self.find(key_id, algorithm), "")]

    @property
    def _may_ask(self) -> bool:
        since = self._clock() - self._asked_at
        return self._asking is not None or since >= self._times.retry_seconds

    async def ask(self) -> None:
        """Ask for the keys, unless that has just been done."""
        if self._may_ask:
            await self.refresh()

    async def refresh(self) -> None:
        """Ask for the keys. Who comes meanwhile waits for the same answer."""
        if self._asking is None:
            self._asked_at = self._clock()
            self._asking = asyncio.create_task(self._ask(), name="jwks")
        await asyncio.shield(self._asking)

    def refreshing(self) -> Periodic:
        """Return what asks for the keys as soon as it is started, and again and again."""

        def next_in() -> float:
            return self._times.retry_seconds if self.fault else self._times.refresh_seconds

        return Periodic(self.refresh, next_in, "keys", first=0)

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(self._times.timeout_seconds * 2):  # each read has its own
                found = await asyncio.to_thread(self._fetch)
            self._keys = _usable(found)
            self.fault = ""
            logger.debug("%d keys to check tokens with", len(self._keys))
        except Exception as error:  # noqa: BLE001 - whatever it is, the keys known so far hold
            self.fault = str(error) or type(error).__name__
            logger.warning("AUTH_JWKS_URL gives no keys, those known stay: %s", self.fault)
        finally:
            # From now on, or a slow answer would be asked for again at once.
            self._asked_at = self._clock()
            self._asking = None


def _reader(url: str, timeout: float) -> Callable[[], Any]:
    if urlsplit(url).scheme.lower() != "file":
        return functools.partial(fetch_json, url, timeout=timeout)
    path = url2pathname(urlsplit(url).path)
    return lambda: json.loads(Path(path).read_bytes())


def _usable(found: Any) -> list[jwt.PyJWK]:
    """Return the public signature keys of a set, without those of an unknown kind."""
    keys = []
    for said in found["keys"]:
        try:
            key = jwt.PyJWK(said)
        except Exception:  # noqa: BLE001, S112 - one that isn't understood makes no other useless
            continue
        if key.public_key_use in {"sig", None} and hasattr(key.key, "verify"):
            keys.append(key)
    if not keys:
        raise ValueError("the set holds no key that is understood")
    return keys
