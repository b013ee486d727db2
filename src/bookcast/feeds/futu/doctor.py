"""``bookcast doctor``: finds out why no data arrive from OpenD. It subscribes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any, Final

from bookcast.feeds.futu import calls
from bookcast.feeds.futu.doctor_report import readings
from bookcast.feeds.futu.endpoints import Endpoint, resolve
from bookcast.feeds.futu.factory import endpoints_of, key_of
from bookcast.feeds.futu.link import Link, Lost, Refused, Unanswered, connect
from bookcast.feeds.futu.markets import STATE_FIELDS, MarketState, market_state
from bookcast.feeds.futu.quota import Amount, amounts_of
from bookcast.feeds.futu.rights import NO_PUSH, RIGHT_FIELDS, RIGHTS, rights_of
from bookcast.feeds.futu.schema import PACKAGE, require_futu
from bookcast.feeds.futu.topics import topics_of
from bookcast.fetch import fetch_json
from bookcast.model.feed_state import QuotaPool
from bookcast.settings import Settings
from bookcast.version import __version__

ANSWER_SECONDS: Final = 3.0
WRITTEN_FOR: Final = 1000
"""``serverVer`` of OpenD 10.0. bookcast is written for the messages of 10.11, which is 1011."""

MAX_LISTED: Final = 50


class Report:
    """The lines of a report, and the problems among them."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.problems: list[str] = []

    def say(self, *lines: str) -> None:
        """Add lines."""
        self.lines += lines

    def complain(self, problem: str) -> None:
        """Add a line with a problem."""
        self.lines.append(f"  PROBLEM: {problem}")
        self.problems.append(problem)

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Add rows of a table, with aligned columns."""
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        self.lines += [
            "  "
            + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]


async def examine(settings: Settings, server_url: str) -> Report:
    """Examine every OpenD of the settings, and the bookcast server at ``server_url`` if it runs.

    Raises:
        StartupError: when the vendor's package or the key is missing, or a setting is wrong.
    """
    require_futu()
    key, endpoints = key_of(settings), endpoints_of(settings)
    report = Report()
    report.say(_versions())
    for number, endpoint in enumerate(endpoints):
        role = "" if len(endpoints) == 1 else (" (standby)" if number else " (primary)")
        report.say("", f"OpenD at {endpoint}{role}")
        await _examine_opend(report, endpoint, key)
    report.say("", f"bookcast at {server_url}")
    await asyncio.to_thread(_examine_server, report, server_url)
    count = len(report.problems)
    report.say("", "Nothing wrong was found." if not count else f"Problems found: {count}.")
    return report


async def take_readings(settings: Settings) -> Report:
    """Return a report on undocumented behaviour of the first OpenD, to be sent to the developers.

    It contains no account, no address and no subscriptions of the user. It subscribes candles and
    trades of two securities, which uses some of the quota for a minute.

    Raises:
        StartupError: when the vendor's package or the key is missing, or a setting is wrong.
    """
    require_futu()
    report = Report()
    report.say(_versions(), f"FUTU_SESSION {settings.futu_session}")
    link = await _connect(report, endpoints_of(settings)[0], key_of(settings))
    if link is None:
        return report
    try:
        report.table([(one.what, one.said) for one in await readings(link)])
    except Lost as lost:
        report.complain(f"it {lost}")
    finally:
        link.fail("was left")
    return report


def _versions() -> str:
    return (
        f"bookcast {__version__}, {PACKAGE} {_version(PACKAGE)}, protobuf {_version('protobuf')}, "
        f"Python {python_version()}"
    )


async def _examine_opend(report: Report, endpoint: Endpoint, key: Any) -> None:
    started = time.monotonic()
    link = await _connect(report, endpoint, key)
    if link is None:
        return
    took = (time.monotonic() - started) * 1000
    encrypted = "encrypted" if key is not None else "not encrypted"
    report.say(f"  connected in {took:.0f} ms, {encrypted}")
    try:
        await _examine_login(report, link)
        await _examine_rights(report, link)
        await _examine_subscriptions(report, link)
    except Lost as lost:
        report.complain(f"it {lost}")
    finally:
        link.fail("was left")


async def _connect(report: Report, endpoint: Endpoint, key: Any) -> Link | None:
    """Return a connection to an OpenD; None if that fails, which is reported as a problem."""
    try:
        [address, *_] = await resolve(endpoint.host)
        return await connect(address, endpoint.port, lambda _protocol, _body: None, key)
    except OSError as error:
        report.complain(
            f"{endpoint.setting} is {endpoint.host!r}, which can't be resolved: "
            f"{error.strerror or error}"
        )
    except Lost as lost:
        report.complain(f"it {lost}. Does OpenD run, and is its API port {endpoint.port}?")
    return None


async def _ask(report: Report, link: Link, call: calls.Call) -> Any:
    try:
        return await link.request(call, seconds=ANSWER_SECONDS)
    except Refused as refusal:
        report.complain(f"it refuses {call.name}: {refusal}")
    except Unanswered:
        report.complain(f"it doesn't answer {call.name}")
    return None


async def _examine_login(report: Report, link: Link) -> None:
    state = await _ask(report, link, calls.global_state())
    if state is None:
        return
    report.say(f"  OpenD version {state.serverVer}, build {state.serverBuildNo}")
    if state.serverVer < WRITTEN_FOR:
        report.say(f"  that is older than {WRITTEN_FOR // 100}: what it doesn't tell is absent")
    if state.qotLogined:
        report.say("  logged in to the quote servers")
    else:
        why = state.programStatus.strExtDesc
        report.complain(
            "it isn't logged in to the quote servers"
            + (f": {why}" if why else "; log in to OpenD, and look at its window or log")
        )
    skew = time.time() - state.time
    if abs(skew) > 5:  # noqa: PLR2004 - seconds
        report.complain(f"its clock is {-skew:+.0f} s from this machine's: ages will be wrong")
    told = {descriptor.name for descriptor, _ in state.ListFields()}
    rows = []
    for market, field in STATE_FIELDS.items():
        known = market_state(getattr(state, field)) if field in told else MarketState()
        rows.append((market, known.closed or known.session or "not told"))
    report.say("  Markets")
    report.table([("  " + market, what) for market, what in rows])


async def _examine_rights(report: Report, link: Link) -> None:
    info = await _ask(report, link, calls.user_info())
    if info is None:
        return
    rights = rights_of(info)
    report.say("  Quote rights")
    report.table(
        [("  market", "right", "what comes")]
        + [
            (
                "  " + market,
                RIGHTS.get(rights.get(market, 0), "unknown"),
                _supplied(rights.get(market)),
            )
            for market in RIGHT_FIELDS
        ]
    )
    if rights and all(right in NO_PUSH for right in rights.values()):
        report.complain("the account has no right that would let anything be subscribed")


def _supplied(right: int | None) -> str:
    if right is None:
        return "not told"
    if right in NO_PUSH:
        return "snapshots only" if RIGHTS[right] == "BMP" else "nothing"
    return "pushed"


async def _examine_subscriptions(report: Report, link: Link) -> None:
    answer = await _ask(report, link, calls.subscriptions())
    if answer is None:
        return
    nothing: dict[QuotaPool, Amount] = {"stock": Amount(0, 0)}
    for pool, amount in (amounts_of(answer) or nothing).items():
        what = "chains of options and kinds of data" if pool == "option" else "subscriptions"
        report.say(f"  Quota: {amount.used} {what} used, {amount.left} left")
        if not amount.left:
            of = " of options" if pool == "option" else ""
            report.complain(f"the quota{of} is used up: others wait until some are let go")
    held = [sorted(map(str, topics_of(connection))) for connection in answer.connSubInfoList]
    held = [topics for topics in held if topics]
    report.say(f"  Subscribed on {len(held)} connection(s)" if held else "  Nothing is subscribed")
    for topics in held:
        report.say(*_listed(topics))


def _listed(entries: Sequence[str]) -> Iterator[str]:
    yield from ("    " + entry for entry in entries[:MAX_LISTED])
    if len(entries) > MAX_LISTED:
        yield f"    and {len(entries) - MAX_LISTED} more"


def _examine_server(report: Report, url: str) -> None:
    """Report the feeds and topics of a running bookcast server. It blocks for some seconds."""
    try:
        # The server runs on this machine, so no proxy is used for any address.
        health, stats = (
            fetch_json(f"{url}/{path}", timeout=ANSWER_SECONDS, proxies=False)
            for path in ("health", "stats")
        )
        feeds, topics = health["feeds"], stats["topics"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        report.say(f"  is not running, or not here ({error})")
        return
    report.say(f"  {health['status']}, {health['connections']} connections")
    for feed in feeds:
        report.say(f"  feed {feed['name']} is {feed['state']}, {feed['symbols']} subscriptions")
        if feed.get("detail"):
            report.complain(feed["detail"])
    if topics:
        report.say("  Age of the newest update")
        rows = [
            (
                ":".join(filter(None, ("  " + t["channel"], t["symbol"], t["period"]))),
                f"{t['age_ms'] / 1000:.1f} s",
                f"{t['subscribers']} subscribers",
            )
            for t in topics[:MAX_LISTED]
        ]
        report.table(rows)
        if len(topics) > MAX_LISTED:
            report.say(f"    and {len(topics) - MAX_LISTED} more")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
