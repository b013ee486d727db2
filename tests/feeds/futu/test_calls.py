"""Each request, byte for byte, against what the unmodified futu-api sends for the same call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from Crypto.PublicKey import RSA

from bookcast.feeds.futu import calls
from bookcast.feeds.futu.candles import KINDS
from bookcast.feeds.futu.schema import messages
from bookcast.feeds.futu.topics import SESSIONS, SUBTYPES
from bookcast.model.topics import Symbol
from tests.fakes.opend import INIT_CONNECT, KEEP_ALIVE, REG_PUSH, Controller
from tests.fakes.vendor import Vendor

AAPL, TENCENT, BERKSHIRE = Symbol("US.AAPL"), Symbol("HK.00700"), Symbol("US.BRK.B")

EXTRAS = {KEEP_ALIVE, REG_PUSH}

VENDOR_SUBTYPES = {
    ("orderbook", ""): "ORDER_BOOK",
    ("orderbook", "odd"): "ORDER_BOOK_ODD",
    ("quote", ""): "QUOTE",
    ("trades", ""): "TICKER",
    ("timeframe", ""): "RT_DATA",
    ("brokers", ""): "BROKER",
    ("candles", "1m"): "K_1M",
    ("candles", "3m"): "K_3M",
    ("candles", "5m"): "K_5M",
    ("candles", "10m"): "K_10M",
    ("candles", "15m"): "K_15M",
    ("candles", "30m"): "K_30M",
    ("candles", "1h"): "K_60M",
    ("candles", "2h"): "K_120M",
    ("candles", "3h"): "K_180M",
    ("candles", "4h"): "K_240M",
    ("candles", "1d"): "K_DAY",
    ("candles", "1w"): "K_WEEK",
    ("candles", "1M"): "K_MON",
    ("candles", "1Q"): "K_QUARTER",
    ("candles", "1Y"): "K_YEAR",
}


class Compared:
    """The vendor's package, and what it sends."""

    def __init__(self, opend: Controller, vendor: Vendor) -> None:
        self._opend = opend
        self._vendor = vendor

    def sends(self, method: str, *arguments: Any, **more: Any) -> list[tuple[int, str]]:
        """Give what the vendor's package sends for a call: ids, and bodies in hex."""
        self._opend.clear_recorded()
        told = [*map(repr, arguments), *(f"{name}={value!r}" for name, value in more.items())]
        # Whether OpenD grants it doesn't matter here.
        self._vendor.ask(f"context.{method}({', '.join(told)})[0]")
        # The vendor adds requests of which it says nothing: that it is there, and, when it let
        # something go, that no pushes of it are wanted either.
        return [(number, body) for number, body in self._opend.recorded() if number not in EXTRAS]

    def asks(self, expression: str, protocol: int) -> list[str]:
        """Give the bodies of one id that an expression makes the vendor's package send."""
        self._opend.clear_recorded()
        self._vendor.ask(expression)
        return [body for number, body in self._opend.recorded() if number == protocol]

    def asked(self, expression: str, protocols: set[int]) -> list[tuple[int, str]]:
        """Return what an expression makes the vendor's package send, of some ids."""
        self._opend.clear_recorded()
        self._vendor.ask(expression)
        return [one for one in self._opend.recorded() if one[0] in protocols]


def written(call: calls.Call) -> list[tuple[int, str]]:
    """Give what bookcast sends."""
    return [(call.protocol, call.request.SerializeToString().hex())]


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compared]:
    """Give the vendor's package, connected to a simulated OpenD."""
    opend = Controller()
    client = Vendor(opend.port, Path(tmp_path_factory.mktemp("home")))
    client.wait()
    yield Compared(opend, client)
    client.close()
    opend.close()


def test_every_kind_of_subscription_is_known_to_the_vendor() -> None:
    """And compared below."""
    assert set(VENDOR_SUBTYPES) == set(SUBTYPES)


@pytest.mark.parametrize("key", VENDOR_SUBTYPES, ids=":".join)
def test_subscriptions_are_asked_for_as_the_vendor_does(vendor: Compared, key: Any) -> None:
    """And let go in the same way."""
    number, name = SUBTYPES[key], VENDOR_SUBTYPES[key]
    codes = [AAPL, TENCENT, BERKSHIRE]
    assert written(calls.subscribe(codes, number)) == vendor.sends("subscribe", codes, [name])
    assert written(calls.unsubscribe(codes, number)) == vendor.sends("unsubscribe", codes, [name])


@pytest.mark.parametrize(
    ("session", "name", "extended"),
    [("regular", "RTH", False), ("extended", "ETH", True), ("all", "ALL", True)],
)
def test_the_hours_that_count_are_asked_for_as_the_vendor_does(
    vendor: Compared, session: str, name: str, *, extended: bool
) -> None:
    """With the flag that an older OpenD looks at."""
    ours = calls.subscribe([AAPL], SUBTYPES["trades", ""], session=SESSIONS[session])
    more = {"extended_time": extended, "session": name}
    assert written(ours) == vendor.sends("subscribe", [AAPL], ["TICKER"], **more)


def test_single_orders_are_asked_for_as_the_vendor_does(vendor: Compared) -> None:
    """For accounts that have the right."""
    ours = calls.subscribe([TENCENT], SUBTYPES["orderbook", ""], detailed=True)
    theirs = vendor.sends("subscribe", [TENCENT], ["ORDER_BOOK"], is_detailed_orderbook=True)
    assert written(ours) == theirs


def test_what_is_subscribed_is_asked_as_the_vendor_does(vendor: Compared) -> None:
    """Of all connections."""
    assert written(calls.subscriptions()) == vendor.sends("query_subscription", is_all_conn=True)


@pytest.mark.parametrize("period", KINDS)
def test_past_candles_are_asked_for_as_the_vendor_does(vendor: Compared, period: Any) -> None:
    """Of every period, with prices adjusted in the same way."""
    name = VENDOR_SUBTYPES["candles", period]
    ours = calls.candles(TENCENT, KINDS[period], 5)
    assert written(ours) == vendor.sends("get_cur_kline", TENCENT, 5, name)


def test_past_trades_are_asked_for_as_the_vendor_does(vendor: Compared) -> None:
    """By their number."""
    assert written(calls.trades(AAPL, 5)) == vendor.sends("get_rt_ticker", AAPL, 5)


def test_snapshots_are_asked_for_as_the_vendor_does(vendor: Compared) -> None:
    """Many at once."""
    codes = [AAPL, TENCENT]
    assert written(calls.snapshots(codes)) == vendor.sends("get_market_snapshot", codes)


def test_states_of_securities_are_asked_for_as_the_vendor_does(vendor: Compared) -> None:
    """Many at once."""
    codes = [AAPL, TENCENT]
    assert written(calls.market_states(codes)) == vendor.sends("get_market_state", codes)


def test_lists_of_securities_are_asked_for_as_the_vendor_does(vendor: Compared) -> None:
    """By market and kind, or a single one by its code."""
    assert written(calls.securities(1, 3)) == vendor.sends("get_stock_basicinfo", "HK", "STOCK")
    ours, theirs = calls.securities(11, 10), vendor.sends("get_stock_basicinfo", "US", "FUTURE")
    assert written(ours) == theirs
    theirs = vendor.sends("get_stock_basicinfo", "HK", "STOCK", code_list=["CC.BTCUSD"])
    assert written(calls.security(Symbol("CC.BTCUSD"))) == theirs


@pytest.mark.parametrize(("name", "number"), calls.FIRMS.items())
def test_a_broker_is_named_as_the_vendor_does(vendor: Compared, name: str, number: int) -> None:
    """In every request for data."""
    begun = (
        "(lambda c: [c.subscribe(['US.AAPL', 'HK.00700'], ['TICKER']), "
        "c.unsubscribe(['US.AAPL'], ['TICKER']), c.get_cur_kline('HK.00700', 5, 'K_DAY'), "
        "c.get_rt_ticker('US.AAPL', 5), c.get_market_snapshot(['CC.BTCUSD']), "
        "c.get_stock_basicinfo('HK', 'WARRANT'), c.get_market_state(['CC.BTCUSD']), "
        "c.close()][-1])(futu.OpenQuoteContext("
        f"host='127.0.0.1', port=context._OpenContextBase__port, security_firm={name!r}))"
    )
    ours = [
        calls.subscribe([AAPL, TENCENT], SUBTYPES["trades", ""]),
        calls.unsubscribe([AAPL], SUBTYPES["trades", ""]),
        calls.candles(TENCENT, KINDS["1d"], 5),
        calls.trades(AAPL, 5),
        calls.snapshots([Symbol("CC.BTCUSD")]),
        calls.securities(1, 5),
        calls.market_states([Symbol("CC.BTCUSD")]),
    ]
    protocols = {call.protocol for call in ours}
    expected = [one for call in ours for one in written(calls.name_firm(call, number))]
    assert vendor.asked(begun, protocols) == expected


def test_what_names_no_broker_stays_as_it_is() -> None:
    """As do all requests when none is set; the vendor names none in what is subscribed either."""
    for make in (calls.global_state, calls.user_info, calls.subscriptions):
        assert written(calls.name_firm(make(), 3)) == written(make())
    assert written(calls.name_firm(calls.trades(AAPL, 5), 0)) == written(calls.trades(AAPL, 5))


def test_the_brokers_are_the_vendors() -> None:
    """By their numbers."""
    numbers = messages("Trd_Common").SecurityFirm
    assert set(calls.FIRMS.values()) == set(numbers.values()) - {0}
    for name, number in calls.FIRMS.items():
        assert numbers.Name(number).upper() == f"SECURITYFIRM_{name}"


def test_rights_and_states_are_asked_for_as_the_vendor_does(vendor: Compared) -> None:
    """The vendor names the user in the latter, for which OpenD has no use."""
    assert written(calls.user_info()) == vendor.sends("get_user_info")
    [theirs] = vendor.asks("context.get_global_state()[0]", calls.global_state().protocol)
    asked = type(calls.global_state().request)()
    asked.ParseFromString(bytes.fromhex(theirs))
    asked.c2s.userID = 0
    [(_, ours)] = written(calls.global_state())
    assert ours == asked.SerializeToString().hex()


def test_a_connection_begins_as_the_vendors_does(vendor: Compared) -> None:
    """Under our own name, which the vendor's package can be told as well."""
    begun = (
        f"[futu.SysConfig.set_client_info({calls.CLIENT_ID!r}, {calls.CLIENT_VERSION}), "
        "futu.OpenQuoteContext(host='127.0.0.1', port=context._OpenContextBase__port).close()][0]"
    )
    [(number, ours)] = written(calls.init_connect(encrypted=False))
    assert vendor.asks(begun, number) == [ours]


def test_being_there_is_said_as_the_vendor_does(vendor: Compared) -> None:
    """With the time."""
    before = int(time.time())
    [theirs] = vendor.asks("[context.keep_alive(), __import__('time').sleep(0.2)][1]", 1004)
    candidates = [written(calls.keep_alive(before + seconds))[0][1] for seconds in range(3)]
    assert theirs in candidates


def test_an_encrypted_connection_begins_as_the_vendors_does(tmp_path: Path) -> None:
    """And goes on so: what OpenD decrypts is the same."""
    key = tmp_path / "key.pem"
    key.write_bytes(RSA.generate(1024).export_key())
    opend = Controller(rsa_key_file=key)
    client = Vendor(opend.port, tmp_path, rsa_key_file=key)
    try:
        client.wait()
        compared = Compared(opend, client)
        begun = [body for number, body in opend.recorded() if number == INIT_CONNECT]
        ours = calls.init_connect(encrypted=True)
        ours.request.c2s.clientID = "PyNormal"  # what the vendor calls itself
        assert begun == [ours.request.SerializeToString().hex()]
        subscribed = calls.subscribe([AAPL], SUBTYPES["orderbook", ""])
        assert written(subscribed) == compared.sends("subscribe", [AAPL], ["ORDER_BOOK"])
    finally:
        client.close()
        opend.close()
