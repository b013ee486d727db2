"""The simulated OpenD, as the vendor's own client meets it."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from Crypto.PublicKey import RSA

from tests.fakes.opend import GLOBAL_STATE, INIT_CONNECT, KEEP_ALIVE, SUB, USER_INFO, Controller
from tests.fakes.opend.answers import AES_KEY, ANSWERS
from tests.fakes.opend.sealing import EcbSeal, RsaSeal
from tests.fakes.opend.wire import NAMES, PERIODS, PUSH_ORDER_BOOK, messages
from tests.fakes.raw_client import RawClient
from tests.fakes.vendor import HANDLERS, Vendor
from tests.support import PATIENCE, ROOT

T = 1_700_000_000.0
APPLE = "US.AAPL"
BOOK = {"code": APPLE, "bids": [[189.5, 12.5, 4, [[77, 12]]]], "asks": [[189.6, 100, 2]], "time": T}
QUOTE = {
    "code": APPLE,
    "last": 189.5,
    "open": 188,
    "high": 190,
    "low": 187,
    "prev_close": 200,
    "volume": 1000,
    "turnover": 189_000.5,
    "time": T,
    "pre": {"last": 201, "high": 202, "low": 199, "volume": 7, "turnover": 1400.0},
}
TRADE = {"sequence": 1, "time": T, "price": 189.5, "size": 10, "dir": 2}
CANDLE = {"time": T, "open": 1, "high": 4, "low": 0.5, "close": 2, "volume": 7.5}
POINT = {"time": T, "price": 3, "average": 2.5, "prev_close": 2, "volume": 5}


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of an RSA key in the format of OpenD."""
    file = tmp_path_factory.mktemp("rsa") / "key"
    file.write_bytes(RSA.generate(1024).export_key(pkcs=1))
    return file


@pytest.fixture
def opend(request: pytest.FixtureRequest) -> Iterator[Controller]:
    """Yield a simulated OpenD, with the options that the test names."""
    controller = Controller(**getattr(request, "param", {}))
    yield controller
    controller.close()


@pytest.fixture
def vendor(opend: Controller, tmp_path: Path) -> Iterator[Vendor]:
    """Yield the vendor's client, connected."""
    client = Vendor(opend.port, tmp_path)
    client.wait()
    yield client
    client.close()


@pytest.fixture
def raw(opend: Controller) -> Iterator[RawClient]:
    """Yield our own raw client, connected."""
    with RawClient(opend.port) as client:
        yield client


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what} doesn't come"
        time.sleep(0.01)


def push_all(opend: Controller) -> None:
    """Push something on every channel."""
    opend.push(BOOK, BOOK | {"type": 1})
    opend.push_quotes(QUOTE)
    opend.push_trades(APPLE, TRADE)
    for period in PERIODS:
        opend.push_candles(APPLE, period, CANDLE)
    opend.push_points(APPLE, POINT)
    opend.push_brokers(APPLE, [[1, "Otter", 1]], [[2, "Lynx", 1]])


def heard(vendor: Vendor) -> dict[str, int]:
    return {kind: len(vendor.heard(kind)) for kind in HANDLERS}


ALL = {"quote": 1, "book": 2, "candles": 15, "trades": 1, "points": 1, "brokers": 1, "notify": 0}


@pytest.mark.parametrize("encrypted", [False, True])
def test_every_subtype_is_subscribed_pushed_asked_for_and_let_go(
    key_file: Path, tmp_path: Path, encrypted: bool
) -> None:
    """With encryption and without."""
    rsa_key_file = key_file if encrypted else None
    opend = Controller(rsa_key_file=rsa_key_file)
    vendor = Vendor(opend.port, tmp_path, rsa_key_file=rsa_key_file)
    try:
        vendor.wait()
        opend.define({"code": APPLE, "name": "Apple", "lot": 1, "spread": 0.05})
        push_all(opend)
        subtypes = vendor.ask("futu.SubType.get_all_keys()").split(",")[1:]
        vendor.call("subscribe", [APPLE], subtypes, is_detailed_orderbook=True)
        until(lambda: heard(vendor) == ALL, "the first push")
        assert opend.held() == sorted(
            f"{APPLE}:{subtype}" for subtype in range(1, 23) if subtype != 3
        )
        push_all(opend)
        until(lambda: heard(vendor) == {kind: 2 * count for kind, count in ALL.items()}, "a push")
        told = vendor.call("query_subscription")
        assert (told["own_used"], told["remain"]) == (21, 279)
        assert told["sub_list"] == {subtype: [APPLE] for subtype in subtypes}
        check_what_is_stored(vendor)
        vendor.call("unsubscribe", [APPLE], ["QUOTE"])
        assert "quotes of US.AAPL must be subscribed" in vendor.refusal("get_stock_quote", [APPLE])
        vendor.call("unsubscribe_all")
        assert opend.held() == []
        push_all(opend)
        assert vendor.call("get_global_state")["qot_logined"] is True
        assert heard(vendor) == {kind: 2 * count for kind, count in ALL.items()}
        sub = next(bytes.fromhex(body) for protocol, body in opend.recorded() if protocol == SUB)
        assert b"AAPL" in sub
    finally:
        vendor.close()
        opend.close()


def check_what_is_stored(vendor: Vendor) -> None:
    """Ask for all of what was pushed."""
    book = vendor.call("get_order_book", APPLE)
    assert (book["name"], book["Bid"]) == ("Apple", [[189.5, 12.5, 4, {"77": 12}]])
    assert vendor.call("get_order_book", APPLE, order_book_type="ODD")["order_book_type"] == "ODD"
    (quote,) = vendor.call("get_stock_quote", [APPLE])
    assert (quote["last_price"], quote["prev_close_price"], quote["volume"]) == (189.5, 200, 1000)
    assert (quote["pre_price"], quote["after_price"]) == (201, "N/A")
    assert (quote["data_time"], quote["price_spread"]) == ("17:13:20", 0.05)
    trades = vendor.call("get_rt_ticker", APPLE)
    assert [(trade["sequence"], trade["ticker_direction"]) for trade in trades] == [(1, "SELL")] * 2
    (candle,) = vendor.call("get_cur_kline", APPLE, 10, "K_MON")
    assert (candle["time_key"], candle["volume"]) == ("2023-11-14 17:13:20", 7.5)
    assert [candle[name] for name in ("open", "high", "low", "close")] == [1, 4, 0.5, 2]
    (point,) = vendor.call("get_rt_data", APPLE)
    assert (point["opened_mins"], point["cur_price"], point["avg_price"]) == (17 * 60 + 13, 3, 2.5)
    code, bids, asks = vendor.ask(f"context.get_broker_queue({APPLE!r})")
    assert (code, bids[0]["bid_broker_name"], asks[0]["ask_broker_id"]) == (0, "Otter", 2)


def test_the_ids_are_the_vendors(vendor: Vendor) -> None:
    """Every name, too."""
    constants = vendor.ask("dict(vars(futu.common.constant.ProtoId))")
    assert {name: constants[name] for name in NAMES.values()} == {
        name: number for number, name in NAMES.items()
    }
    assert set(ANSWERS) <= set(NAMES)


def test_snapshots_and_static_info(opend: Controller, vendor: Vendor) -> None:
    """As they were defined; one unknown code spoils the snapshots of all."""
    opend.define(
        {"code": APPLE, "name": "Apple"},
        {"code": "HK.00700", "name": "Tencent", "lot": 100},
        {"code": "HK.800000", "name": "HSI", "type": 6},
    )
    opend.snapshot(QUOTE | {"bid": 189.4, "ask": 189.6, "bid_size": 5, "ask_size": 0.5})
    apple, tencent = vendor.call("get_market_snapshot", [APPLE, "HK.00700"])
    assert (apple["name"], apple["bid_price"], apple["ask_vol"]) == ("Apple", 189.4, 0.5)
    assert (apple["last_price"], apple["pre_price"], tencent["lot_size"]) == (189.5, 201, 100)
    refusal = vendor.refusal("get_market_snapshot", [APPLE, "US.NONE"])
    assert refusal == "unknown stock US.NONE"
    assert "too many" in vendor.refusal("get_market_snapshot", [f"US.S{n}" for n in range(401)])
    found = vendor.call("get_stock_basicinfo", "HK", "STOCK")
    assert [(one["code"], one["name"], one["lot_size"]) for one in found] == [
        ("HK.00700", "Tencent", 100)
    ]
    found = vendor.call("get_stock_basicinfo", "HK", code_list=["HK.800000", APPLE, "US.NONE"])
    assert [one["code"] for one in found] == [APPLE, "HK.800000"]
    for _ in range(58):
        vendor.call("get_market_snapshot", [APPLE])
    assert "frequency is too high" in vendor.refusal("get_market_snapshot", [APPLE])


@pytest.mark.parametrize("opend", [{"quota": 3, "min_seconds": 2.5}], indirect=True)
def test_quota_is_the_accounts(opend: Controller, vendor: Vendor, raw: RawClient) -> None:
    """A unit for what several hold, and for what is too young when its connection ends."""
    raw.greet()
    assert raw.subscribe(APPLE, "US.TSLA").retType == 0
    vendor.call("subscribe", [APPLE], ["ORDER_BOOK", "QUOTE"])
    told = vendor.call("query_subscription")
    assert (told["total_used"], told["own_used"], told["remain"]) == (3, 2, 0)
    assert vendor.ask("len(context.query_subscription(is_all_conn=False)[1]['sub_list'])") == 2
    full = "subscription quota is insufficient: 1 needed, 0 left"
    assert vendor.refusal("subscribe", ["HK.00700"], ["QUOTE"]) == full
    raw.close()
    until(lambda: opend.connections() == 1, "the end")
    assert vendor.refusal("subscribe", ["HK.00700"], ["QUOTE"]) == full
    early = vendor.refusal("unsubscribe", [APPLE], ["QUOTE"])
    assert early == "US.AAPL: can't be unsubscribed within one minute"
    until(lambda: vendor.call("query_subscription")["remain"] == 1, "what has grown old enough")
    vendor.call("subscribe", ["HK.00700"], ["QUOTE"])
    opend.set_quota(5)
    assert vendor.call("query_subscription")["remain"] == 2
    assert vendor.call("get_user_info")["sub_quota"] == 5


def test_rights_states_and_notices(opend: Controller, vendor: Vendor) -> None:
    """They are told, and rights are needed to subscribe."""
    opend.set_rights(us=5, hk=4)
    opend.set_markets(US=6)
    rights = vendor.call("get_user_info")
    assert (rights["us_qot_right"], rights["hk_qot_right"]) == ("NO", "SF")
    assert vendor.refusal("subscribe", [APPLE], ["QUOTE"]) == "no quote right for US stocks"
    vendor.call("subscribe", ["HK.00700"], ["QUOTE"])
    opend.login(qot=False)
    state = vendor.call("get_global_state")
    assert (state["market_us"], state["market_hk"]) == ("CLOSED", "MORNING")
    assert (state["qot_logined"], state["program_status_type"]) == (False, "READY")
    opend.login(qot=True)
    opend.kick("gone")
    assert vendor.call("get_global_state")["program_status_type"] == "FORCE_LOGOUT"
    until(lambda: len(vendor.heard("notify")) == 5, "the notices")
    notices = [notice for _, notice in vendor.heard("notify")]
    assert notices[0][2]["us_qot_right"] == "NO"
    assert [data["qot_logined"] for kind, _, data in notices if kind == "CONN_STATUS"] == [
        *(False, True, False)
    ]
    assert ["GTW_EVENT", "KickedOut", "gone"] in notices


def test_refusing_and_losing(opend: Controller, vendor: Vendor) -> None:
    """One is all or nothing; the other happens once, and to every subtype."""
    opend.refuse(US_TSLA="not today")
    assert vendor.refusal("subscribe", [APPLE, "US.TSLA"], ["QUOTE"]) == "not today"
    opend.lose(APPLE)
    vendor.call("subscribe", [APPLE, "HK.00700"], ["QUOTE", "TICKER"])
    assert opend.held() == ["HK.00700:1", "HK.00700:4"]
    vendor.call("subscribe", [APPLE], ["QUOTE"])
    assert opend.subscriptions() == ["HK.00700", APPLE]


def test_odd_lots_and_single_orders_go_to_who_asked_for_them(
    opend: Controller, vendor: Vendor
) -> None:
    """And pushes as a whole."""
    vendor.call("subscribe", [APPLE], ["ORDER_BOOK"])
    vendor.call("subscribe", ["US.TSLA"], ["ORDER_BOOK_ODD"])
    vendor.call("subscribe", ["US.NVDA"], ["ORDER_BOOK"], subscribe_push=False)
    for code in ("US.NVDA", "US.TSLA", APPLE):
        opend.push(BOOK | {"code": code}, BOOK | {"code": code, "type": 1})
    until(lambda: len(vendor.heard("book")) == 2, "the books")
    got = {book["code"]: book for _, book in vendor.heard("book")}
    assert got["US.TSLA"]["order_book_type"] == "ODD"
    assert got[APPLE]["Bid"] == [[189.5, 12.5, 4, {}]]
    assert vendor.call("get_order_book", "US.NVDA")["Ask"] == [[189.6, 100, 2, {}]]


def test_what_is_stored_is_asked_for_in_order(opend: Controller, vendor: Vendor) -> None:
    """The newest of it, and the first push is the newest candle and all trades."""
    opend.store_candles(APPLE, "5m", *(CANDLE | {"time": T + 300 * n} for n in (2, 0, 1)))
    opend.push_candles(APPLE, "5m", CANDLE | {"time": T + 600, "close": 3})
    opend.store_trades(APPLE, *(TRADE | {"sequence": n} for n in range(3)))
    vendor.call("subscribe", [APPLE], ["K_5M", "TICKER"])
    candles = vendor.call("get_cur_kline", APPLE, 2, "K_5M")
    assert [candle["close"] for candle in candles] == [2, 3]
    assert [one["sequence"] for one in vendor.call("get_rt_ticker", APPLE, 2)] == [1, 2]
    opend.push_trades(APPLE, TRADE, kind=2)
    until(lambda: len(vendor.heard("trades")) == 2, "the trades")
    pushed = [[trade["push_data_type"] for trade in trades] for _, trades in vendor.heard("trades")]
    assert pushed == [["CACHE"] * 3, ["BYDISCONN"]]
    (first,) = (candles for _, candles in vendor.heard("candles"))
    assert [candle["close"] for candle in first] == [3]


def test_a_client_of_its_own_kind_encrypts_in_the_older_way(key_file: Path, tmp_path: Path) -> None:
    """Byte for byte like the vendor's; keys may be longer; who doesn't encrypt is cut."""
    longer = tmp_path / "longer"
    longer.write_bytes(RSA.generate(2048).export_key(pkcs=1))
    for file in (key_file, longer):
        opend = Controller(rsa_key_file=file)
        with RawClient(opend.port, RsaSeal(file)) as client:
            client.greet(0)
            client.seal = EcbSeal(AES_KEY)
            assert client.ask(GLOBAL_STATE, lambda c2s: setattr(c2s, "userID", 0)).s2c.qotLogined
        with RawClient(opend.port) as client, pytest.raises(EOFError):
            client.greet(0)
        with RawClient(opend.port, RsaSeal(file)) as client, pytest.raises(EOFError):
            client.greet(-1)
        opend.close()


def test_the_older_encryption_is_the_vendors(vendor: Vendor) -> None:
    """Of bodies of every length."""
    manager, seal = "futu.common.conn_mng.FutuConnMng", EcbSeal(AES_KEY)
    known = {"conn_id": 99, "conn_key": AES_KEY, "conn_iv": None, "is_encrypt": True}
    vendor.ask(f"{manager}.add_conn({known!r})")
    for length in range(34):
        body = bytes(range(length))
        theirs = bytes.fromhex(vendor.ask(f"{manager}.encrypt_conn_data(99, {body!r})[2].hex()"))
        assert seal.seal(body) == theirs
        assert seal.open(theirs) == body


def test_who_does_not_speak_the_protocol_is_cut(opend: Controller, raw: RawClient) -> None:
    """Also who forgets InitConnect; requests that aren't known get no answer."""
    raw.greet()
    raw.send(KEEP_ALIVE, lambda c2s: setattr(c2s, "time", 0), serial=7)
    assert raw.hear()[:2] == (KEEP_ALIVE, 7)
    raw.socket.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n")
    with pytest.raises(EOFError):
        raw.hear()
    with RawClient(opend.port) as hasty, pytest.raises(EOFError):
        hasty.ask(USER_INFO, lambda _: None)
    until(lambda: opend.connections() == 0, "the end of both")
    assert opend.requests() == [INIT_CONNECT, KEEP_ALIVE, USER_INFO]
    opend.clear_recorded()
    assert opend.recorded() == []


def test_slow_mute_and_ignoring(opend: Controller, raw: RawClient) -> None:
    """Answers are late or missing; pushes are missing only when muted."""
    raw.greet()
    raw.subscribe(APPLE)
    opend.slow(0.2)
    raw.send(KEEP_ALIVE, lambda c2s: setattr(c2s, "time", 0))
    until(lambda: opend.requests()[-1] == KEEP_ALIVE, "the request")
    opend.push(BOOK)
    assert [raw.hear()[0], raw.hear()[0]] == [PUSH_ORDER_BOOK, KEEP_ALIVE]
    opend.slow(0)
    opend.ignore(USER_INFO)
    opend.mute()
    raw.send(KEEP_ALIVE, lambda c2s: setattr(c2s, "time", 0))
    until(lambda: opend.requests().count(KEEP_ALIVE) == 2, "the request")
    opend.push(BOOK)
    opend.mute(muted=False)
    raw.send(USER_INFO, lambda _: None)
    assert raw.ask(GLOBAL_STATE, lambda c2s: setattr(c2s, "userID", 0)).retType == 0


def test_a_connection_is_cut_between_pushes_or_within_one(
    opend: Controller, raw: RawClient
) -> None:
    """New ones are accepted."""
    raw.greet()
    opend.drop(within_frame=True)
    assert len(raw.stream.read()) == 100
    until(lambda: opend.connections() == 0, "the end")
    with RawClient(opend.port) as other:
        other.greet()
        opend.drop()
        with pytest.raises(EOFError):
            other.hear()


def test_garbage_and_garbled_books(opend: Controller, raw: RawClient) -> None:
    """The one has a header, the other has none."""
    raw.greet()
    opend.garble()
    protocol, _, body = raw.hear()
    assert (protocol, body) == (PUSH_ORDER_BOOK, b"\xff" * 20)
    opend.garbage()
    assert raw.socket.recv(4) == b"HTTP"


@pytest.mark.parametrize("rate", [0, 1000])
def test_a_flood_of_stamped_books(opend: Controller, raw: RawClient, rate: float) -> None:
    """In turn, all different, with the digests and the times of their sending."""
    raw.greet()
    raw.subscribe(APPLE, "US.TSLA")
    began = time.time()
    opend.flood([APPLE, "US.TSLA"], rate, 5)
    books = []
    for _ in range(500):
        push = messages(PUSH_ORDER_BOOK).Response()
        push.ParseFromString(raw.hear()[2])
        books.append(push.s2c)
    took = time.time() - began
    assert [book.security.code for book in books[:3]] == ["AAPL", "TSLA", "AAPL"]
    assert {len(side) for b in books for side in (b.orderBookBidList, b.orderBookAskList)} == {10}
    stamps = [book.svrRecvTimeBidTimestamp for book in books]
    assert began <= stamps[0] <= stamps[-1] <= time.time()
    assert sorted(stamps) == stamps
    assert books[0].orderBookBidList[0] != books[2].orderBookBidList[0]
    assert opend.flooded() >= 500
    if rate:
        assert took >= 0.45


def test_what_cannot_be_pushed_is_told(opend: Controller) -> None:
    """With the command and the reason."""
    with pytest.raises(ValueError, match="push_trades: KeyError: 'time'"):
        opend.push_trades(APPLE, {"price": 1})
    with pytest.raises(ValueError, match=r"set_rights: ValueError: unknown \['mars'\]"):
        opend.set_rights(mars=1)


@pytest.mark.timeout(PATIENCE * 12)
def test_by_hand_everything_subscribed_moves(tmp_path: Path) -> None:
    """Of any code, and there is a past."""
    process = subprocess.Popen(
        # The vendor takes up to a millisecond for a push: on a busy machine it must keep up.
        [sys.executable, "-m", "tests.fakes.opend", "--port", "0", "--rate", "2"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("listening on 127.0.0.1:")
    vendor = Vendor(int(line.rpartition(":")[2]), tmp_path)
    try:
        vendor.wait()
        subtypes = vendor.ask("futu.SubType.get_all_keys()").split(",")[1:]
        vendor.call("subscribe", ["US.ANY"], subtypes)
        until(lambda: min(heard(vendor)[kind] for kind in ALL if kind != "notify") > 1, "moves")
        for period in ("K_1M", "K_WEEK", "K_YEAR"):
            candles: list[Any] = vendor.call("get_cur_kline", "US.ANY", 100, period)
            assert len(candles) > 50
            assert all(one["low"] <= one["close"] <= one["high"] for one in candles)
        assert [one["name"] for one in vendor.call("get_market_snapshot", ["HK.00700"])] == [
            "TENCENT"
        ]
        assert vendor.call("get_global_state")["market_us"] == "MORNING"
    finally:
        vendor.close()
        process.kill()
        process.wait()
        process.stdout.close()
