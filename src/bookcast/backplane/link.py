"""The connection to Redis, single or Cluster: it calls scripts and explains errors in words."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from itertools import compress
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.client import PubSub
from redis.asyncio.connection import Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.maint_notifications import MaintNotificationsConfig

from bookcast.backplane.breaker import Breaker
from bookcast.backplane.keys import Keys
from bookcast.errors import EngineAwayError, FencedError, SettingError, StartupError
from bookcast.observability.counter import as_gauge, counter

logger = logging.getLogger(__name__)

SCRIPTS: Final = {
    path.name.removesuffix(".lua"): path.read_text()
    for path in resources.files("bookcast.backplane").joinpath("lua").iterdir()
    if path.name.endswith(".lua")
}

LOST: Final = (RedisError, OSError, RuntimeError)
"""Errors of a lost connection. uvloop raises RuntimeError for a write to a closed transport."""

CAUSES: Final = {
    "ostname mismatch": "its certificate is for another name than the one in REDIS_URL: ",
    "IP address mismatch": "its certificate is for another name than the one in REDIS_URL: ",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not signed by REDIS_CA_FILE, or by an "
    "authority that this system knows where that is not set: ",
    "NO_CERTIFICATE_OR_CRL": "REDIS_CA_FILE holds no certificate in PEM: ",
    "Name or service not known": "the host in REDIS_URL is not known: ",
    "No address associated": "the host in REDIS_URL is not known: ",
}
"""The likely cause, by a part of the error's text. The first match counts."""

MAX_ROUNDS: Final = 8
"""At most so many rounds of calls run at once, where there are connections for them."""

MAX_TOGETHER: Final = 500
"""At most so many calls go out in one round; vital calls go first."""

STOOD_STILL: Final = 1.2
"""If a call took longer than this many timeouts, our own loop was stalled, not Redis."""

NO_RETRY: Final = Retry(NoBackoff(), 0, supported_errors=())
"""Turns off the library's own retries, which could execute a call twice."""


class LinkSettings(msgspec.Struct, frozen=True):
    """The address of Redis. ``timeout``: seconds to wait for an answer, or for a free connection.

    ``prefix``: the beginning of all names of this deployment.
    """

    url: str
    timeout: float = 1.0
    max_connections: int = 16
    ca_file: str | None = None
    prefix: str = "bookcast"


class _Call(msgspec.Struct):
    script: str
    keys: Sequence[str]
    arguments: Sequence[str | bytes | float]
    vital: bool
    again: bool
    repeat: Callable[[], Sequence[str | bytes | float]] | None
    outcome: asyncio.Future[Any]

    def words(self, sha: str) -> list[Any]:
        return [sha, len(self.keys), *self.keys, *self.arguments]


class _ByAddress(Connection):
    """Resolves the host name itself, then connects to the address.

    When uvloop does both and is cancelled during a slow lookup, nobody awaits the lookup's failure,
    and the loop reports it as an unhandled error.
    """

    _address = ""

    async def _connect(self) -> None:
        fault: OSError | None = None
        async with asyncio.timeout(self.socket_connect_timeout):
            for *_, address in await _resolve(self.host, self.port):
                self._address = address[0]
                try:
                    await super()._connect()  # type: ignore[no-untyped-call] # the library's
                except OSError as error:
                    fault = error
                else:
                    return
        raise fault or OSError(f"{self.host} has no address")

    def _connection_arguments(self) -> Mapping[str, Any]:
        arguments = {**super()._connection_arguments(), "host": self._address}
        if "ssl" in arguments:
            arguments["server_hostname"] = self.host
        return arguments


class _ByAddressWithTls(_ByAddress, SSLConnection):
    """The same, with TLS."""


async def _resolve(host: str, port: int) -> list[Any]:
    return list(await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM))


BY_ADDRESS: Final[Mapping[Any, Any]] = {
    Connection: _ByAddress,
    SSLConnection: _ByAddressWithTls,
}


class Link:
    """Calls scripts. All calls of one turn of the event loop go out together.

    A failed vital call opens ``breaker``. While it is open, only the call that probes Redis
    is allowed.

    Raises:
        StartupError: when the URL can't be used. The constructor doesn't connect.
    """

    calls = counter("bookcast_engine_calls", "Scripts called in Redis")
    failures = counter("bookcast_engine_failures", "Of them, those that failed")

    def __init__(self, settings: LinkSettings, breaker: Breaker) -> None:
        self._breaker = breaker
        self._settings = settings
        self._client: Redis | RedisCluster | None = None
        self._connecting = asyncio.Lock()
        self._seats = asyncio.Semaphore(settings.max_connections)
        self._listening: Redis | None = None
        # Clients with an earlier password, whose subscriptions are still in use.
        self._outlived: list[Redis] = []
        self._shas: dict[str, str] = {}
        # Calls that wait for a round.
        self._vital: list[_Call] = []
        self._others: list[_Call] = []
        self._rounds: set[asyncio.Task[None]] = set()
        self.redis = b""
        """The replication id of Redis at the last pulse: another id means another master."""
        self.keys = Keys(settings.prefix, self._database())
        """The names of keys and channels."""

    def _database(self) -> int:
        try:
            pool: Any = self._single(max_connections=1).connection_pool
            return int(pool.make_connection().db)
        except Exception as error:  # noqa: BLE001 - the library may raise anything
            raise StartupError(f"REDIS_URL can't be used: {error}") from None

    @property
    @as_gauge("bookcast_engine_connections", "Connections to Redis for commands")
    def connections(self) -> int:
        """How many connections are open for calls."""
        if not isinstance(self._client, Redis):
            return 0
        pool = self._client.connection_pool
        return len(getattr(pool, "_in_use_connections", ())) + len(
            getattr(pool, "_available_connections", ())
        )

    @property
    def place(self) -> str:
        """The address of Redis, without the password."""
        parts = urlsplit(self._settings.url)
        if parts.scheme == "unix":
            return parts.path
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{host}:{parts.port or 6379}"

    @property
    @as_gauge("bookcast_engine_away", "1 while Redis is away")
    def is_away(self) -> bool:
        """Whether Redis counts as away: calls are refused then, except for probes."""
        return self._breaker.is_open

    @property
    def trouble(self) -> str:
        """Why Redis counts as away; empty while it isn't."""
        return self._breaker.reason

    @property
    def is_cluster(self) -> bool:
        """Whether Redis is a Cluster; False until the first connection."""
        return isinstance(self._client, RedisCluster)

    async def call(
        self,
        script: str,
        keys: Sequence[str],
        arguments: Sequence[str | bytes | float] = (),
        *,
        vital: bool = False,
        again: bool = False,
        looks: bool = False,
        repeat: Callable[[], Sequence[str | bytes | float]] | None = None,
    ) -> Any:
        """Call a script of this package, and return its answer.

        Args:
            script: the script's name.
            keys: its keys.
            arguments: its arguments.
            vital: retry like ``again``; if it fails all the same, Redis counts as away.
            again: call it once more when the connection is lost. The script must be idempotent.
            looks: call it also while Redis counts as away: it is the probe.
            repeat: returns the arguments of the retry.

        Raises:
            EngineAwayError: when the call failed. ``unsure``: it may have been executed.
            FencedError: when another node runs the feed.
        """
        if self._breaker.is_open and not looks:
            raise EngineAwayError(self._breaker.reason)
        loop = asyncio.get_running_loop()
        if not (self._vital or self._others):
            loop.call_soon(self._begin_rounds)
        call = _Call(script, keys, arguments, vital, again or vital, repeat, loop.create_future())
        (self._vital if vital else self._others).append(call)
        return await call.outcome

    def pubsub(self) -> PubSub:
        """Return a new pub/sub object with a connection of its own. Its methods raise RedisError.

        In a Cluster, each node of Redis delivers the messages published at any of them.
        """
        if self._listening is None:
            self._listening = self._single(max_connections=2)
        return self._listening.pubsub(push_handler_func=_as_it_is)

    async def close(self) -> None:
        """Close all connections."""
        for call in (*self._vital, *self._others):
            call.outcome.cancel()
        self._vital, self._others = [], []
        rounds = tuple(self._rounds)
        for task in rounds:
            task.cancel()
        if rounds:
            await asyncio.wait(rounds)
        for client in (self._client, self._listening, *self._outlived):
            if client is not None:
                await client.aclose()
        self._client = self._listening = None
        self._outlived = []

    async def renew(self, url: str) -> None:
        """Log in with the user and password of a new URL of the same Redis.

        Raises:
            SettingError: when the URL names another Redis, or Redis refuses the login. Nothing has
                changed then.
        """
        if url == self._settings.url:
            return
        if _without_login(url) != _without_login(self._settings.url):
            raise SettingError("REDIS_URL names another Redis than before: that takes a restart")
        before = self._settings
        self._settings = msgspec.structs.replace(before, url=url)
        trial = self._single(max_connections=1)
        try:
            await trial.ping()
        except (AuthenticationError, ResponseError) as error:
            self._settings = before
            raise SettingError(str(self._in_words(error, unsure=False))) from None
        except LOST as error:
            # Redis can't be asked now. Open connections stay; new ones use the new password.
            logger.debug("the new password can't be tried: %s", error)
        finally:
            await trial.aclose()
        async with self._connecting:
            old, self._client = self._client, None
        listening, self._listening = self._listening, None
        if self._rounds:
            await asyncio.wait(tuple(self._rounds))
        if old is not None:
            await old.aclose()
        if listening is not None:
            self._outlived.append(listening)

    # Rounds of calls

    def _begin_rounds(self) -> None:
        """Begin as many rounds as allowed. Calls that still wait go with later rounds."""
        most = min(MAX_ROUNDS, self._settings.max_connections)
        while (self._vital or self._others) and len(self._rounds) < most:
            calls = self._vital[:MAX_TOGETHER]
            del self._vital[: len(calls)]
            count = MAX_TOGETHER - len(calls)
            calls += self._others[:count]
            del self._others[:count]
            task = asyncio.create_task(self._round(calls), name="redis calls")
            self._rounds.add(task)
            task.add_done_callback(functools.partial(self._end_round, calls))

    def _end_round(self, calls: list[_Call], task: asyncio.Task[None]) -> None:
        self._rounds.discard(task)
        if task.cancelled():  # perhaps before its first step
            for call in calls:
                call.outcome.cancel()
        else:
            self._begin_rounds()

    async def _round(self, calls: list[_Call]) -> None:
        self.calls += len(calls)
        began = time.monotonic()
        try:
            results = await self._run(calls)
            # If it took much longer than the timeout, our own loop was stalled, not Redis.
            stood_still = time.monotonic() - began > STOOD_STILL * self._settings.timeout
            undone = [isinstance(result, NoScriptError | ReadOnlyError) for result in results]
            lost = [
                call.again and _may_go_well_now(result, stood_still=stood_still)
                for call, result in zip(calls, results, strict=True)
            ]
            unsure = [_may_be_done(result) for result in results]
            again = [one or other for one, other in zip(undone, lost, strict=True)]
            if any(again):
                if any(isinstance(result, ReadOnlyError) for result in results):
                    await self._leave()
                for call in compress(calls, lost):
                    if call.repeat is not None:
                        call.arguments = call.repeat()
                # A Redis that was restarted has lost the scripts too.
                answers = iter(await self._run(list(compress(calls, again)), loading=True))
                results = [
                    next(answers) if once_more else result
                    for result, once_more in zip(results, again, strict=True)
                ]
        except Exception as error:  # noqa: BLE001 - the callers get it
            results = [error] * len(calls)
            unsure = [True] * len(calls)
        for call, result, one in zip(calls, results, unsure, strict=True):
            self._answer(call, result, unsure=one)

    def _answer(self, call: _Call, result: Any, *, unsure: bool) -> None:
        """Set the result of a call. ``unsure``: the first attempt may have been executed."""
        if isinstance(result, Exception):
            self.failures += 1
            result = self._in_words(result, unsure=unsure or _may_be_done(result))
            if call.vital and isinstance(result, EngineAwayError):
                self._breaker.fail(str(result))
        if call.outcome.done():
            return
        if isinstance(result, Exception):
            call.outcome.set_exception(result)
        else:
            call.outcome.set_result(result)

    async def _run(self, calls: list[_Call], *, loading: bool = False) -> list[Any]:
        """Return the result or the error of each call. ``loading``: load the scripts first."""
        try:
            client = await self._connect()
            if loading:
                await self._load(client)
            if isinstance(client, RedisCluster):
                return await asyncio.gather(
                    *(self._run_one(client, call) for call in calls), return_exceptions=True
                )
            async with client.pipeline(transaction=False) as pipeline:
                for call in calls:
                    pipeline.evalsha(*call.words(self._shas[call.script]))
                return list(await pipeline.execute(raise_on_error=False))
        except RuntimeError as error:  # see LOST
            return [RedisConnectionError(str(error))] * len(calls)
        except Exception as error:  # noqa: BLE001 - the callers get it
            return [error] * len(calls)

    async def _run_one(self, client: RedisCluster, call: _Call) -> Any:
        # The Cluster client raises when all connections are in use, instead of waiting.
        async with self._seats:
            return await client.evalsha(*call.words(self._shas[call.script]))

    # Connections

    async def _connect(self) -> Redis | RedisCluster:
        """Return the client. The first time, find out whether Redis is a Cluster."""
        async with self._connecting:
            if self._client is None:
                client = await self._find()
                try:
                    await self._load(client)
                except BaseException:
                    await client.aclose()
                    raise
                self._client = client
            return self._client

    async def _leave(self) -> None:
        """Close the connections to a Redis that became a replica.

        New connections reach the new master, which has the same name now or soon.
        """
        if isinstance(self._client, Redis):
            with contextlib.suppress(*LOST):
                await self._client.connection_pool.disconnect(inuse_connections=False)

    async def _find(self) -> Redis | RedisCluster:
        client = self._single(self._settings.max_connections)
        try:
            info: Any = await client.info("server")
        except BaseException:
            await client.aclose()
            raise
        if info.get("redis_mode") != "cluster":
            return client
        await client.aclose()
        return RedisCluster.from_url(
            self._settings.url, **self._options(), max_connections=self._settings.max_connections
        )

    async def _load(self, client: Redis | RedisCluster) -> None:
        for name, text in SCRIPTS.items():
            sha: Any = await client.script_load(text)
            self._shas[name] = sha.decode() if isinstance(sha, bytes) else str(sha)

    def _single(self, max_connections: int) -> Redis:
        pool = BlockingConnectionPool.from_url(
            self._settings.url,
            max_connections=max_connections,
            timeout=self._settings.timeout,
            **self._options(),
        )
        pool.connection_class = BY_ADDRESS.get(pool.connection_class, pool.connection_class)
        return Redis.from_pool(pool)  # which closes the pool with it

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "protocol": 3,
            "socket_timeout": self._settings.timeout,
            "socket_connect_timeout": self._settings.timeout,
            "retry": NO_RETRY,
            "client_name": "bookcast",
            # Only Redis's own cloud supports these notifications.
            "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        }
        if not self._settings.url.startswith("unix:"):
            options["socket_keepalive"] = True
        if self._settings.url.startswith("rediss:") and self._settings.ca_file:
            options["ssl_ca_certs"] = self._settings.ca_file
        return options

    def _in_words(self, error: Exception, *, unsure: bool) -> Exception:
        text = str(error)
        if text.startswith("FENCED"):
            return FencedError(text)
        if isinstance(error, OutOfMemoryError) or "maxmemory" in text:
            reason = "is full (maxmemory)"
        elif isinstance(error, AuthenticationError) or text.startswith(("NOAUTH", "WRONGPASS")):
            reason = "refuses the password in REDIS_URL"
        elif isinstance(error, RedisTimeoutError | TimeoutError):
            reason = f"doesn't answer within REDIS_TIMEOUT, {self._settings.timeout:g} s"
        elif text.startswith("UNSURE"):
            reason = "is another one than was asked first, so this may have been done already"
        elif isinstance(error, ReadOnlyError):
            reason = "is a replica, and takes no writes"
        elif isinstance(error, ResponseError):
            reason = f"refuses: {text}"
        elif isinstance(error, RedisError | OSError):
            cause = next((words for sign, words in CAUSES.items() if sign in text), "")
            reason = f"can't be reached: {cause}{text.rstrip('.')}"
        else:
            logger.error("calling Redis met a fault of ours", exc_info=error)
            reason = f"met a fault of ours: {type(error).__name__}"
        return EngineAwayError(f"Redis at {self.place} {reason}", unsure=unsure)


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


async def _as_it_is(response: Any) -> Any:
    """Return a push message unchanged. The library's own handler logs each of them."""
    return response


def _may_be_done(result: Any) -> bool:
    """Return whether a failed call may have been executed: its answer never came.

    A script that Redis refuses has executed nothing, see ``publish.lua``. Nor has a call that was
    never sent, since there was no connection, or none was free.
    """
    if isinstance(result, RedisTimeoutError | RedisConnectionError):
        refused = isinstance(result, AuthenticationError | BusyLoadingError)
        return not refused and not _was_never_sent(result)
    if isinstance(result, ResponseError):
        return str(result).startswith(("UNSURE", "LATE"))
    return isinstance(result, Exception)


def _was_never_sent(error: Exception) -> bool:
    refused = isinstance(getattr(error, "__cause__", None), ConnectionRefusedError)
    text = str(error)
    return refused or "onnecting to" in text or text.startswith("No connection available")


def _may_go_well_now(result: Any, *, stood_still: bool) -> bool:
    """Return whether a retry may succeed."""
    if isinstance(result, RedisTimeoutError):
        return stood_still
    # A retry doesn't help where no connection could be made.
    return isinstance(result, RedisConnectionError) and not _was_never_sent(result)
