"""What each HTTP path does."""

from __future__ import annotations

import codecs
import logging
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from bookcast.auth.gate import AuthRequest, Caller, Gate
from bookcast.auth.principal import Rights, Scope, owner_of_keys
from bookcast.engine.base import Engine
from bookcast.errors import InvalidInput
from bookcast.feeds.runner import FeedRunner
from bookcast.http import problem, schemas
from bookcast.http.report import MAX_TOPICS, Reporter, StatsQuery
from bookcast.ingest.batches import decode_batch
from bookcast.ingest.idempotency_keys import HEADER
from bookcast.ingest.publication import topic_of
from bookcast.ingest.publisher import Publisher
from bookcast.limits import Refusals, TokenBuckets
from bookcast.model.feed_state import Security
from bookcast.model.topics import Symbol, names_of, parse_symbol
from bookcast.settings import Settings

logger = logging.getLogger(__name__)

PROBED_BY: Final = {"Allow": "GET, HEAD, OPTIONS"}
"""Headers of all responses of the probes, also to OPTIONS (RFC 9110, 9.3.7)."""


class Json(Response):
    """A Struct as JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode the Struct."""
        return msgspec.json.encode(content)


class Routes:
    """The endpoints, with the parts that they need.

    ``unready`` returns why new clients shouldn't be sent to this node; None: they may be.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        gate: Gate,
        engine: Engine,
        publisher: Publisher,
        refusals: Refusals,
        feeder: FeedRunner,
        reporter: Reporter,
        unready: Callable[[], str | None],
    ) -> None:
        self._settings = settings
        self._gate = gate
        self._refusals = refusals
        self._rates = TokenBuckets(settings.publish_rate)
        self._engine = engine
        self._publisher = publisher
        self._feeder = feeder
        self._reporter = reporter
        self._unready = unready

    async def broadcast(self, request: Request) -> Response:
        """Publish one update to all subscribers of its topic."""
        channel = request.path_params["channel"]
        try:
            caller, rights = await self._require(request, "publish")
            text = await self._json_body(request)
            key = _idempotency_key(request)
            self._charge(caller, 1)
        except InvalidInput as error:
            self._publisher.refuse(error)
            raise
        period = request.query_params.get("period")
        return Json(
            await self._publisher.publish(
                channel,
                request.query_params.get("symbol"),
                text,
                period=period,
                rights=rights,
                key=key,
                principal=owner_of_keys(caller.principal),
            )
        )

    async def broadcast_batch(self, request: Request) -> Response:
        """Publish updates of any topics, in order; an error in one doesn't affect the others."""
        try:
            caller, rights = await self._require(request, "publish")
            _refuse_key_of_batch(request)
            updates = decode_batch(await self._json_body(request))
            self._charge(caller, len(updates))
        except InvalidInput as error:
            self._publisher.refuse(error)
            raise
        outcomes = await self._publisher.publish_all(
            updates, rights, owner_of_keys(caller.principal)
        )
        for outcome in outcomes:
            if isinstance(outcome, InvalidInput):
                self._refusals.note(outcome)
        results = [
            schemas.Outcome(error=_refusal(outcome))
            if isinstance(outcome, InvalidInput)
            else schemas.Outcome(outcome.epoch, outcome.seq)
            for outcome in outcomes
        ]
        well = not any(isinstance(outcome, InvalidInput) for outcome in outcomes)
        return Json(schemas.BatchResult("ok" if well else "partial", results))

    async def health(self, _request: Request) -> Response:
        """Return the health of the server and its parts."""
        return Json(await self._reporter.health())

    async def stats(self, request: Request) -> Response:
        """Return what the server has done since it started, and the topics."""
        _, rights = await self._require(request, "admin")
        stats = await self._reporter.stats(self._stats_query(request))
        seen = [one for one in stats.topics if rights.allows_symbol(Symbol(one.symbol))]
        return Json(msgspec.structs.replace(stats, topics=seen))

    def _stats_query(self, request: Request) -> StatsQuery:
        """Return which topics are to be listed.

        Raises:
            InvalidInput: names the wrong parameter.
        """
        limit = request.query_params.get("limit", str(MAX_TOPICS))
        if not (re.fullmatch("[0-9]{1,4}", limit) and int(limit) <= MAX_TOPICS):
            raise InvalidInput(
                "invalid_data", f"limit: a whole number from 0 to {MAX_TOPICS}", path="limit"
            )
        requested_symbol = request.query_params.get("symbol")
        symbol = requested_symbol and parse_symbol(requested_symbol, self._settings.default_market)
        return StatsQuery(int(limit), symbol or None)

    async def livez(self, _request: Request) -> Response:
        """Return that the process is alive."""
        return Json(schemas.Alive("alive"), headers=PROBED_BY)

    async def readyz(self, _request: Request) -> Response:
        """Return whether new clients should be sent to this node."""
        trouble = self._unready()
        if trouble is None:
            return Json(schemas.Alive("ready"), headers=PROBED_BY)
        return problem.response("not_ready", trouble, **PROBED_BY, **{"Retry-After": "1"})

    async def remove_topic(self, request: Request) -> Response:
        """Forget a topic at all nodes, until the next publication to it."""
        await self._require(request, "admin")
        parameters = request.query_params
        topic = topic_of(
            request.path_params["channel"],
            request.path_params["symbol"],
            self._settings.default_market,
            parameters.get("period"),
            variant=parameters.get("variant"),
        )
        if not await self._engine.remove(topic):
            raise InvalidInput(
                "unknown_symbol", f"Nobody has published anything to {topic}", path="symbol"
            )
        logger.info("%s was removed", topic)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def symbols(self, request: Request) -> Response:
        """Return the symbols that match ``q``: the feed's in its order, then published ones."""
        text = request.query_params.get("q", "").strip()
        _, rights = await self._require(request, "read")
        found = {security.symbol: security for security in await self._feeder.search(text)}
        published = {head.topic.symbol async for page in self._engine.pages() for head in page}
        for symbol in sorted(published):
            if any(text.upper() in name.upper() for name in names_of(symbol)):
                found.setdefault(symbol, Security(symbol))
        return Json(
            schemas.KnownSymbols(
                [security for security in found.values() if rights.allows_symbol(security.symbol)]
            )
        )

    async def metrics(self, request: Request) -> Response:
        """Return the metrics, for Prometheus."""
        await self._require(request, "admin")
        return Response(
            await self._reporter.metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def websocket_without_upgrade(self, request: Request) -> Response:
        """Answer plain HTTP at an address for WebSockets: explain what to do."""
        return problem.response(
            "upgrade_required",
            f"{request.url.path} is for WebSocket clients, for instance "
            f"new WebSocket('ws://{request.url.netloc}{request.url.path}'); a proxy in between "
            "must speak HTTP/1.1 and pass on the headers Upgrade and Connection",
            Upgrade="websocket",
        )

    async def _require(self, request: Request, scope: Scope) -> tuple[Caller, Rights]:
        """Return the sender of a request, and its rights, which include ``scope``.

        Raises:
            InvalidInput: the sender may not do this.
        """
        return await self._gate.require(knock_of(request), scope)

    def _charge(self, caller: Caller, count: int) -> None:
        """Charge a publisher's rate for ``count`` publications."""
        late = self._rates.take(caller.account, time.monotonic(), count)
        if late:
            raise InvalidInput(
                "rate_limited",
                f"PUBLISH_RATE is {self._settings.publish_rate:g} publications a second; nothing "
                "was published",
                retry_after=late,
                reason="publish_rate",
            )

    async def _json_body(self, request: Request) -> bytes:
        """Return the body; it is read only up to the limit."""
        content_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if content_type != "application/json":
            raise InvalidInput(
                "unsupported_media_type",
                "Send the body as JSON, with the header Content-Type: application/json",
            )
        codings = ",".join(request.headers.getlist("Content-Encoding")).lower().split(",")
        if not {coding.strip() for coding in codings} <= {"", "identity"}:
            raise InvalidInput("unsupported_media_type", "Send the body uncompressed")
        limit = self._settings.max_body_bytes
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise InvalidInput(
                        "body_too_large", f"The body is larger than MAX_BODY_BYTES, {limit} bytes"
                    )
        except ClientDisconnect:
            # The client won't get this error, but the log says why nothing was published.
            raise InvalidInput(
                "invalid_json", "The publisher left in mid-body", reason="publisher_left"
            ) from None
        return bytes(body.removeprefix(codecs.BOM_UTF8))


def knock_of(request: Request) -> AuthRequest:
    """Return what a request shows of its sender, for the gate."""
    peer = request.client.host if request.client is not None else ""
    changes = request.method not in {"GET", "HEAD", "OPTIONS"}
    return AuthRequest(peer, request.headers.getlist, page=changes)


def _idempotency_key(request: Request) -> str | None:
    """Return the idempotency key of a request; None: it has none."""
    keys = request.headers.getlist(HEADER)
    if len(keys) > 1:
        raise InvalidInput("invalid_message", f"{HEADER}: there are several", path=HEADER)
    try:
        return keys[0].encode("latin-1").decode() if keys else None
    except UnicodeDecodeError:
        raise InvalidInput("invalid_message", f"{HEADER}: not valid UTF-8", path=HEADER) from None


def _refusal(error: InvalidInput) -> schemas.Refusal:
    return schemas.Refusal(error.code, error.message, error.path, error.channel, error.symbol)


def _refuse_key_of_batch(request: Request) -> None:
    if HEADER in request.headers:
        raise InvalidInput(
            "invalid_message",
            f"{HEADER}: a batch has none; each of its updates may have an idempotency_key",
            path=HEADER,
        )
