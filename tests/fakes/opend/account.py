"""The account that OpenD is logged in with: its quota, its rights, and who has subscribed what."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from tests.fakes.opend.kinds import SF_SECURITIES, Unit, kind_of, units_of
from tests.fakes.opend.wire import Key, Refused

RIGHT_BMP, RIGHT_LEVEL2, RIGHT_SF, RIGHT_NO = 1, 3, 4, 5
SNAPSHOT_CODES, SNAPSHOT_REQUESTS, SNAPSHOT_SECONDS = 400, 60, 30.0
STATE_CODES, STATE_REQUESTS = 400, 10

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

OPEN = 3

# Market as in GetGlobalState: Qot_Common.QotMarketState, all of them open.
MARKET_STATES = {
    **dict.fromkeys(("HK", "US", "SH", "SZ", "SG", "MY", "JP"), 3),
    **dict.fromkeys(("HKFuture", "SGFuture", "JPFuture"), 15),
    "USFuture": 23,
}

MARKET_OF_FUTURES = {
    "HK": "HKFuture",
    "HK_FUTURE": "HKFuture",
    "US": "USFuture",
    "SG": "SGFuture",
    "JP": "JPFuture",
}


class Account:
    """What all connections share. Times are seconds of a clock that never goes back."""

    def __init__(self, *, quota: int, option_quota: int | None, min_seconds: float) -> None:
        self.quota = quota
        self.option_quota = option_quota  # None: an OpenD that doesn't tell of it
        self.min_seconds = min_seconds
        self.rights = dict.fromkeys(RIGHTS, RIGHT_LEVEL2)
        self.markets = dict(MARKET_STATES)
        self.states: dict[str, int] = {}
        self.snapshot_codes = SNAPSHOT_CODES
        self.logged_in = True
        self.kicked_out = ""
        self.refused: dict[str, str] = {}
        self.losing: set[str] = set()
        self.held: dict[int, dict[Key, float]] = {}
        self._lingering: dict[Key, float] = {}
        self._snapshots: deque[float] = deque()
        self._states_asked: deque[float] = deque()

    def open(self, connection: int) -> dict[Key, float]:
        """Add a connection; return its table of subscriptions with the time each began."""
        self.held[connection] = {}
        return self.held[connection]

    def close(self, connection: int, now: float) -> None:
        """Remove a connection; its subscriptions cost quota until they reach the minimum age."""
        for key, since in self.held.pop(connection).items():
            until = since + self.min_seconds
            if until > now:
                self._lingering[key] = max(until, self._lingering.get(key, until))

    def used(self, now: float) -> set[Key]:
        """Return the subscriptions that cost quota."""
        self._lingering = {key: until for key, until in self._lingering.items() if until > now}
        return {key for held in self.held.values() for key in held} | set(self._lingering)

    @property
    def limits(self) -> dict[str, int]:
        """Return the size of each quota pool."""
        options = {} if self.option_quota is None else {"option": self.option_quota}
        return {"stock": self.quota, "sf_book": SF_SECURITIES, **options}

    def units(self, keys: Iterable[Key]) -> set[Unit]:
        """Return the quota units that these subscriptions cost together."""
        sf = self.rights["hk"] == RIGHT_SF
        return {unit for key in keys for unit in units_of(key, sf=sf)}

    def count(self, keys: Iterable[Key], pool: str) -> int:
        """Return the number of units that these subscriptions cost together in one pool."""
        return sum(unit[0] == pool for unit in self.units(keys))

    def left(self, now: float, pool: str = "stock") -> int:
        """Return the number of unused units in a pool."""
        return max(0, self.limits[pool] - self.count(self.used(now), pool))

    def state(self, code: str) -> int:
        """Return the Qot_Common.QotMarketState of a security: its own, or else its market's."""
        market = code.partition(".")[0]
        if kind_of(code) == "future":
            market = MARKET_OF_FUTURES.get(market, market)
        return self.states.get(code, self.markets.get(market, OPEN))

    def subscribe(self, connection: int, keys: Iterable[Key], now: float) -> list[Key]:
        """Subscribe a connection to all keys or refuse them; return the keys it then really has."""
        wanted = list(dict.fromkeys(keys))
        for code, _ in wanted:
            if code in self.refused:
                raise Refused(self.refused[code])
            market, kind = code.partition(".")[0], kind_of(code)
            right = market.lower() if kind in {"stock", "index"} else f"{market.lower()}_{kind}"
            if self.rights.get(right) in {RIGHT_BMP, RIGHT_NO}:
                raise Refused(f"no quote right for {market} {kind}s")
        kept = [key for key in wanted if key[0] not in self.losing]
        self.losing -= {code for code, _ in wanted}
        new = self.units(kept) - self.units(self.used(now))
        for pool in self.limits:
            needed, left = sum(unit[0] == pool for unit in new), self.left(now, pool)
            if needed > left:
                of = {"option": " for options", "sf_book": " for books with SF"}.get(pool, "")
                raise Refused(
                    f"subscription quota{of} is insufficient: {needed} needed, {left} left"
                )
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
        if codes > self.snapshot_codes:
            raise Refused(f"too many stocks: {codes}, at most {self.snapshot_codes}")
        _count(self._snapshots, SNAPSHOT_REQUESTS, now)

    def take_states(self, codes: int, now: float) -> None:
        """Count a request of securities' states, or refuse it."""
        if codes > STATE_CODES:
            raise Refused(f"too many stocks: {codes}, at most {STATE_CODES}")
        _count(self._states_asked, STATE_REQUESTS, now)


def _count(asked: deque[float], most: int, now: float) -> None:
    """Count a request of a kind that may be made so often in 30 seconds."""
    while asked and asked[0] <= now - SNAPSHOT_SECONDS:
        asked.popleft()
    if len(asked) >= most:
        raise Refused(
            f"request frequency is too high: at most {most} in {SNAPSHOT_SECONDS:.0f} seconds"
        )
    asked.append(now)
