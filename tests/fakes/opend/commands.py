"""The control channel: a JSON object a line on standard input, an answer a line on the output."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
from typing import Any

from tests.fakes.opend.account import RIGHTS
from tests.fakes.opend.flood import Flood
from tests.fakes.opend.pushes import REALTIME
from tests.fakes.opend.server import OpenD
from tests.fakes.opend.store import Json, Rows


class Commands:
    """What can be told to the simulated OpenD; a method's arguments are the object's members."""

    def __init__(self, opend: OpenD) -> None:
        self._opend = opend
        self._flood = Flood(opend)

    async def obey_standard_input(self) -> None:
        """Do what it says until it ends."""
        commands = asyncio.StreamReader(limit=2**26)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(commands), os.fdopen(0, "rb")
        )
        while line := await commands.readline():
            print(json.dumps(await self._obey(json.loads(line))), flush=True)

    async def _obey(self, command: Json) -> Json:
        try:
            answer = getattr(self, f"do_{command.pop('do')}")(**command)
            return {"answer": await answer if inspect.isawaitable(answer) else answer}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            return {"error": f"{type(error).__name__}: {error}"}

    # Market data

    def do_push(self, books: list[Json]) -> None:
        for book in books:
            self._opend.pushes.book(book)

    def do_push_quotes(self, quotes: list[Json]) -> None:
        for quote in quotes:
            self._opend.pushes.quote(quote)

    def do_push_trades(self, code: str, trades: list[Json], kind: int = REALTIME) -> None:
        self._opend.pushes.trades(code, trades, kind)

    def do_push_candles(self, code: str, period: str, candles: list[Json]) -> None:
        self._opend.pushes.candles(code, period, candles)

    def do_push_points(self, code: str, points: list[Json]) -> None:
        self._opend.pushes.points(code, points)

    def do_push_brokers(self, code: str, bids: Rows, asks: Rows) -> None:
        self._opend.pushes.brokers(code, bids, asks)

    def do_store_trades(self, code: str, trades: list[Json]) -> None:
        self._opend.store.trades[code].extend(trades)

    def do_store_candles(self, code: str, period: str, candles: list[Json]) -> None:
        self._opend.store.add_candles(code, period, candles)

    def do_define(self, securities: list[Json]) -> None:
        self._opend.store.securities.update((item["code"], item) for item in securities)

    def do_know_only_defined(self) -> None:
        self._opend.knows_only_defined = True

    def do_snapshot(self, snapshots: list[Json]) -> None:
        self._opend.store.snapshots.update((item["code"], item) for item in snapshots)

    def do_flood(self, codes: list[str], rate: float, seconds: float) -> None:
        self._flood.start(codes, rate, seconds)

    def do_flooded(self) -> int:
        return self._flood.pushed

    # The account

    def do_set_quota(self, total: int) -> None:
        self._opend.account.quota = total
        self._opend.notices.quota()

    def do_set_option_quota(self, total: int | None) -> None:
        self._opend.account.option_quota = total
        self._opend.notices.quota()

    def do_set_states(self, states: dict[str, int]) -> None:
        self._opend.account.states.update(states)

    def do_limit_snapshots(self, codes: int) -> None:
        self._opend.account.snapshot_codes = codes

    def do_set_rights(self, rights: dict[str, int]) -> None:
        _check(rights, RIGHTS)
        self._opend.account.rights.update(rights)
        self._opend.notices.rights()

    def do_set_markets(self, states: dict[str, int]) -> None:
        _check(states, self._opend.account.markets)
        self._opend.account.markets.update(states)

    def do_login(self, *, qot: bool) -> None:
        account = self._opend.account
        account.logged_in, account.kicked_out = qot, "" if qot else account.kicked_out
        self._opend.notices.login(logged_in=qot)

    def do_kick(self, text: str) -> None:
        self._opend.account.logged_in, self._opend.account.kicked_out = False, text
        self._opend.notices.kicked_out(text)
        self._opend.notices.login(logged_in=False)

    # Faults

    def do_drop(self, *, within_frame: bool) -> None:
        self._opend.drop(within_frame=within_frame)

    def do_stop_listening(self) -> None:
        self._opend.stop_listening()

    async def do_listen(self) -> None:
        await self._opend.listen()

    def do_mute(self, *, muted: bool) -> None:
        self._opend.muted = muted

    def do_refuse(self, codes: dict[str, str]) -> None:
        self._opend.account.refused = codes

    def do_lose(self, codes: list[str]) -> None:
        self._opend.account.losing = set(codes)

    def do_garbage(self) -> None:
        self._opend.send_garbage()

    def do_garble(self) -> None:
        self._opend.send_garbled()

    def do_slow(self, seconds: float) -> None:
        self._opend.delay = seconds

    def do_ignore(self, protocol_ids: list[int]) -> None:
        self._opend.ignored = set(protocol_ids)

    # What clients did

    def do_subscriptions(self) -> list[str]:
        return sorted({code for c in self._opend.connections for code, _ in c.held})

    def do_held(self) -> list[str]:
        keys = {key for c in self._opend.connections for key in c.held}
        return sorted(f"{code}:{subtype}" for code, subtype in keys)

    def do_connections(self) -> int:
        return len(self._opend.connections)

    def do_requests(self) -> list[int]:
        return self._opend.requests

    def do_recorded(self) -> list[tuple[int, str]]:
        return self._opend.recorded

    def do_clear_recorded(self) -> None:
        self._opend.recorded.clear()


def _check(given: dict[str, int], known: dict[str, Any]) -> None:
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"unknown {unknown}; there are {sorted(known)}")
