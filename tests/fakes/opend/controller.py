"""The tests' side of the control channel."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

Json = dict[str, Any]


class Controller:
    """A simulated OpenD in a process of its own, and what a test can make it do."""

    def __init__(
        self,
        *,
        port: int = 0,
        min_seconds: float = 0.0,
        quota: int = 300,
        option_quota: int = 60,
        rsa_key_file: Path | str | None = None,
    ) -> None:
        # Here, since the process itself has no need of it, and is to begin soon.
        from tests.support import ROOT

        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.fakes.opend", "--control", "--port", str(port)),
                *("--min-seconds", str(min_seconds), "--quota", str(quota)),
                *("--option-quota", str(option_quota)),
                *(("--rsa-key", str(rsa_key_file)) if rsa_key_file else ()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands: IO[str] = self._process.stdin
        self._answers: IO[str] = self._process.stdout
        self.port = int(self._answers.readline().rpartition(":")[2])

    def _tell(self, do: str, **more: Any) -> Any:
        self._commands.write(json.dumps({"do": do, **more}) + "\n")
        self._commands.flush()
        answer = json.loads(self._answers.readline())
        if "error" in answer:
            raise ValueError(f"{do}: {answer['error']}")
        return answer["answer"]

    # Market data: pushed to subscribers, and kept for those that come or ask later

    def push(self, *books: Json) -> None:
        """Push books.

        ``{"code", "bids": [[price, size, orders], …], "asks", "time"?, "type"?, "name"?}``. A level
        may have single orders too, ``[price, size, orders, [[order id, volume], …]]``: they go to
        connections that subscribed in detail. Type 1 is the book of odd lots.
        """
        self._tell("push", books=books)

    def push_quotes(self, *quotes: Json) -> None:
        """Push quotes.

        ``{"code", "last", "open", "high", "low", "prev_close", "volume", "turnover", "suspended"?,
        "time"?, "status"?, "dark"?, "spread"?, "name"?, "turnover_rate"?, "amplitude"?}``, and
        ``"pre"?, "after"?, "overnight"?`` as ``{"last"?, "high"?, "low"?, "volume"?, "turnover"?,
        "change"?, "change_rate"?, "amplitude"?}``. The status is a Qot_Common.SecurityStatus, dark
        a DarkStatus. ``"option"?, "future"?, "warrant"?`` have the names of ``payloads.PARTS``;
        what OpenD always sets of them is 0 unless told. Prices default to 0, which is none.
        """
        self._tell("push_quotes", quotes=quotes)

    def push_trades(self, code: str, *trades: Json, kind: int = 1) -> None:
        """Push trades.

        ``{"sequence", "time", "price", "size", "dir", "type"?, "sign"?, "turnover"?}``. The
        direction is 1 for bid, 2 for ask, 3 for neither; the type is a Qot_Common.TickerType, 1
        unless told; the kind 2 is a backfill.
        """
        self._tell("push_trades", code=code, trades=trades, kind=kind)

    def push_candles(self, code: str, period: str, *candles: Json) -> None:
        """Push candles of a period: 1m 3m 5m 10m 15m 30m 1h 2h 3h 4h 1d 1w 1M 1Q 1Y.

        ``{"time", "open", "high", "low", "close", "volume", "turnover"?, "prev_close"?,
        "blank"?}``.
        """
        self._tell("push_candles", code=code, period=period, candles=candles)

    def push_points(self, code: str, *points: Json) -> None:
        """Push points of the day's line.

        ``{"time", "price", "average"?, "prev_close", "volume", "turnover"?, "blank"?}``.
        """
        self._tell("push_points", code=code, points=points)

    def push_brokers(
        self, code: str, bids: Sequence[Sequence[Any]], asks: Sequence[Sequence[Any]]
    ) -> None:
        """Push the queues of brokers.

        ``[[id, name, position], …]``, or with the SF right ``[[id, name, position, order id,
        volume], …]``.
        """
        self._tell("push_brokers", code=code, bids=bids, asks=asks)

    def store_trades(self, code: str, *trades: Json) -> None:
        """Store trades without pushing them."""
        self._tell("store_trades", code=code, trades=trades)

    def store_candles(self, code: str, period: str, *candles: Json) -> None:
        """Store candles without pushing them."""
        self._tell("store_candles", code=code, period=period, candles=candles)

    def define(self, *securities: Json) -> None:
        """Define securities: ``{"code", "name", "lot"?, "type"?, "spread"?}``."""
        self._tell("define", securities=securities)

    def know_only_defined(self) -> None:
        """Refuse to subscribe codes that aren't defined, as the real one does."""
        self._tell("know_only_defined")

    def snapshot(self, *snapshots: Json) -> None:
        """Store snapshots: like quotes, and ``"bid"?, "ask"?, "bid_size"?, "ask_size"?``."""
        self._tell("snapshot", snapshots=snapshots)

    def flood(self, codes: Sequence[str], rate: float, seconds: float) -> None:
        """Push books of these in turn, so many a second in all, or as many as can be (0).

        It goes on in the background. A book's bid time is when it was sent.
        """
        self._tell("flood", codes=codes, rate=rate, seconds=seconds)

    def flooded(self) -> int:
        """Return the number of books that floods have pushed so far."""
        return int(self._tell("flooded"))

    # The account

    def set_quota(self, total: int) -> None:
        """Change the quota; connections are notified."""
        self._tell("set_quota", total=total)

    def set_option_quota(self, total: int | None) -> None:
        """Change the options' quota (None: OpenD doesn't report it), and notify clients."""
        self._tell("set_option_quota", total=total)

    def set_states(self, states: dict[str, int]) -> None:
        """Change Qot_Common.QotMarketState of codes, which else is that of their markets."""
        self._tell("set_states", states=states)

    def limit_snapshots(self, codes: int) -> None:
        """Allow snapshots of so many codes per request, as with the BMP right of Hong Kong."""
        self._tell("limit_snapshots", codes=codes)

    def set_rights(self, **rights: int) -> None:
        """Change Qot_Common.QotRight of markets in lower case; connections are notified."""
        self._tell("set_rights", rights=rights)

    def set_markets(self, **states: int) -> None:
        """Change Qot_Common.QotMarketState of markets: HK US SH SZ HKFuture USFuture ….."""
        self._tell("set_markets", states=states)

    def login(self, *, qot: bool) -> None:
        """Be logged in to the quote server or not; connections are notified."""
        self._tell("login", qot=qot)

    def kick(self, text: str = "the account was logged in with elsewhere") -> None:
        """Be logged out because of that; connections are notified."""
        self._tell("kick", text=text)

    def refuse(self, **codes: str) -> None:
        """Refuse these codes with these reasons; ``_`` stands for the dot."""
        self._tell("refuse", codes={code.replace("_", "."): why for code, why in codes.items()})

    def lose(self, *codes: str) -> None:
        """Confirm the next subscription of these codes, but don't make it."""
        self._tell("lose", codes=codes)

    # Faults

    def drop(self, *, within_frame: bool = False) -> None:
        """Cut all connections, perhaps in the middle of a push; new ones are accepted."""
        self._tell("drop", within_frame=within_frame)

    def stop_listening(self) -> None:
        """Stop the listener and cut all connections, as if the process were gone."""
        self._tell("stop_listening")

    def listen(self) -> None:
        """Listen again, on the same port."""
        self._tell("listen")

    def mute(self, *, muted: bool = True) -> None:
        """Answer nothing and push nothing any more, or again."""
        self._tell("mute", muted=muted)

    def ignore(self, *protocol_ids: int) -> None:
        """Don't answer these requests; with none, answer all again."""
        self._tell("ignore", protocol_ids=protocol_ids)

    def slow(self, seconds: float) -> None:
        """Send every answer so much later; what it answers is done at once all the same."""
        self._tell("slow", seconds=seconds)

    def garbage(self) -> None:
        """Write bytes to every connection that aren't the protocol."""
        self._tell("garbage")

    def garble(self) -> None:
        """Push an order book to every connection that can't be parsed, under a right header."""
        self._tell("garble")

    # What clients did

    def subscriptions(self) -> list[str]:
        """Return the codes that are subscribed."""
        return list(self._tell("subscriptions"))

    def held(self) -> list[str]:
        """Return the subscriptions as ``CODE:SUBTYPE``."""
        return list(self._tell("held"))

    def connections(self) -> int:
        """Return the number of clients that are connected now."""
        return int(self._tell("connections"))

    def requests(self) -> list[int]:
        """Return the ids of all requests so far."""
        return list(self._tell("requests"))

    def recorded(self) -> list[tuple[int, str]]:
        """Return the ids and the decrypted bodies, in hex, of all requests so far."""
        return [(protocol, body) for protocol, body in self._tell("recorded")]

    def clear_recorded(self) -> None:
        """Forget the recorded requests."""
        self._tell("clear_recorded")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._commands.close()
        self._answers.close()
