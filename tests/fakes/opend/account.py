"""The account that OpenD is logged in with: its quota, its rights, and who has subscribed what."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from tests.fakes.opend.wire import Key, Refused

RIGHT_BMP, RIGHT_LEVEL2, RIGHT_NO = 1, 3, 5
SNAPSHOT_CODES, SNAPSHOT_REQUESTS, SNAPSHOT_SECONDS = 400, 60, 30.0

# Market in lower case: field of GetUserInfo and Notify.
RIGHTS = {
    "hk": "hkQotRight",
    "us": "usQotRight",
    "cn": "cnQotRight",
    "sh": "shQotRight",
    "sz": "szQotRight",
    "sg": "sgStockQotRight",
    "my": "myStockQotRight",
    "jp": "jpStockQotRight",
    "cc": "ccQotRight",
    "ec": "ecQotRight",
    "hk_option": "hkOptionQotRight",
    "hk_future": "hkFutureQotRight",
    "us_option": "usOptionQotRight",
    "us_index": "usIndexQotRight",
    "us_otc": "usOtcQotRight",
    "us_cme": "usCMEFutureQotRight",
    "us_cbot": "usCBOTFutureQotRight",
    "us_nymex": "usNYMEXFutureQotRight",
    "us_comex": "usCOMEXFutureQotRight",
    "us_cboe": "usCBOEFutureQotRight",
    "sg_future": "sgFutureQotRight",
    "jp_future": "jpFutureQotRight",
}

# Market as in GetGlobalState: Qot_Common.QotMarketState, all of them open.
MARKET_STATES = {
    **dict.fromkeys(("HK", "US", "SH", "SZ", "SG", "MY", "JP"), 3),
    **dict.fromkeys(("HKFuture", "SGFuture", "JPFuture"), 15),
    "USFuture": 23,
}


class Account:
    """What all connections share. Times are seconds of a clock that never goes back."""

    def __init__(self, *, quota: int, min_seconds: float) -> None:
        self.quota = quota
        self.min_seconds = min_seconds
        self.rights = dict.fromkeys(RIGHTS, RIGHT_LEVEL2)
        self.markets = dict(MARKET_STATES)
        self.logged_in = True
        self.kicked_out = ""
        self.refused: dict[str, str] = {}
        self.losing: set[str] = set()
        self.held: dict[int, dict[Key, float]] = {}
        self._lingering: dict[Key, float] = {}
        self._snapshots: deque[float] = deque()

    def open(self, connection: int) -> dict[Key, float]:
        """Take a connection in, and give what it holds: since when."""
        self.held[connection] = {}
        return self.held[connection]

    def close(self, connection: int, now: float) -> None:
        """Let a connection go; what is too young to be let go of goes on costing quota."""
        for key, since in self.held.pop(connection).items():
            until = since + self.min_seconds
            if until > now:
                self._lingering[key] = max(until, self._lingering.get(key, until))

    def used(self, now: float) -> set[Key]:
        """Give what costs quota."""
        self._lingering = {key: until for key, until in self._lingering.items() if until > now}
        return {key for held in self.held.values() for key in held} | set(self._lingering)

    def left(self, now: float) -> int:
        """Give the quota that isn't used."""
        return max(0, self.quota - len(self.used(now)))

    def subscribe(self, connection: int, keys: Iterable[Key], now: float) -> list[Key]:
        """Give a connection all of it, or refuse it; the answer is what it really has then."""
        wanted = list(dict.fromkeys(keys))
        for code, _ in wanted:
            if code in self.refused:
                raise Refused(self.refused[code])
            market = code.partition(".")[0]
            if self.rights.get(market.lower()) in {RIGHT_BMP, RIGHT_NO}:
                raise Refused(f"no quote right for {market} stocks")
        kept = [key for key in wanted if key[0] not in self.losing]
        self.losing -= {code for code, _ in wanted}
        needed, left = len(set(kept) - self.used(now)), self.left(now)
        if needed > left:
            raise Refused(f"subscription quota is insufficient: {needed} needed, {left} left")
        for key in kept:
            self.held[connection].setdefault(key, now)
        return kept

    def unsubscribe(self, connection: int, keys: Iterable[Key], now: float) -> None:
        """Take all of it from a connection, or refuse it."""
        held, gone = self.held[connection], list(keys)
        for key in gone:
            if key in held and now - held[key] < self.min_seconds:
                raise Refused(f"{key[0]}: can't be unsubscribed within one minute")
        for key in gone:
            held.pop(key, None)

    def take_snapshot(self, codes: int, now: float) -> None:
        """Count a request of snapshots, or refuse it."""
        if codes > SNAPSHOT_CODES:
            raise Refused(f"too many stocks: {codes}, at most {SNAPSHOT_CODES}")
        while self._snapshots and self._snapshots[0] <= now - SNAPSHOT_SECONDS:
            self._snapshots.popleft()
        if len(self._snapshots) >= SNAPSHOT_REQUESTS:
            raise Refused(
                "request frequency is too high: "
                f"at most {SNAPSHOT_REQUESTS} in {SNAPSHOT_SECONDS:.0f} seconds"
            )
        self._snapshots.append(now)
