from bookcast.feeds.futu.directory import LISTED, MAX_LOOKUPS, Directory
from bookcast.feeds.futu.link import Link, connect
from bookcast.feeds.futu.times import FutuTimes
from bookcast.model.feed_state import Security
from bookcast.model.topics import Symbol
from tests.fakes.opend import SNAPSHOT, STATIC_INFO, Controller
from tests.support import eventually

AAPL = {"code": "US.AAPL", "name": "Apple Inc", "lot": 1, "spread": 0.01}
APLE = {"code": "US.APLE", "name": "Apple Hospitality", "lot": 1, "spread": 0.01}
TENCENT = {"code": "HK.00700", "name": "TENCENT", "lot": 100, "spread": 0.2}
SPY = {"code": "US.SPY", "name": "SPDR S&P 500 ETF", "lot": 1, "type": 4}
SNAP = {"code": "US.SNAP", "name": "Snap Inc", "lot": 1}


async def linked(opend: Controller, times: FutuTimes | None = None) -> Link:
    return await connect("127.0.0.1", opend.port, lambda _protocol, _body: None, times=times)


async def found(opend: Controller, text: str, limit: int = 10) -> list[Security]:
    opend.define(AAPL, APLE, TENCENT, SPY, SNAP)
    link = await linked(opend)
    try:
        return await Directory().search(link, text, limit, lambda _symbol: "regular")
    finally:
        link.fail("was left")


async def test_a_security_is_found_with_all_that_a_trader_asks_of_it(opend: Controller) -> None:
    """Its name, lot size, price step and session."""
    assert await found(opend, "00700") == [
        Security(Symbol("HK.00700"), "TENCENT", "stock", 100, 0.2, "regular")
    ]


async def test_codes_come_before_names_and_beginnings_before_parts(opend: Controller) -> None:
    """Whatever the case."""
    assert [s.symbol for s in await found(opend, "ap")] == ["US.APLE", "US.AAPL", "US.SNAP"]
    assert [s.symbol for s in await found(opend, "apple")] == ["US.AAPL", "US.APLE"]
    assert [s.symbol for s in await found(opend, "AAPL")] == ["US.AAPL"]
    assert [s.symbol for s in await found(opend, "us.aapl")] == ["US.AAPL"]


async def test_funds_are_found_too_and_no_more_than_asked_for(opend: Controller) -> None:
    """By their name."""
    [spy] = await found(opend, "s&p")
    assert (spy.symbol, spy.kind) == ("US.SPY", "fund")
    assert len(await found(opend, "us.", limit=2)) == 2
    assert await found(opend, "nothing like it") == []


async def test_a_list_is_fetched_once(opend: Controller) -> None:
    """Only of the market that the text names, if it names one."""
    opend.define(AAPL)
    link = await linked(opend)
    directory = Directory()
    for _ in range(3):
        assert await directory.search(link, "US.AAPL", 5, lambda _symbol: None)
    link.fail("was left")
    assert opend.requests().count(STATIC_INFO) == len(LISTED["US"])


async def test_an_opend_that_does_not_tell_costs_only_what_it_does_not_tell(
    opend: Controller,
) -> None:
    """Without snapshots there is no price step."""
    opend.define(AAPL)
    opend.ignore(SNAPSHOT)
    link = await linked(opend)
    [aapl] = await Directory().search(link, "US.AAPL", 5, lambda _symbol: None)
    assert (aapl.name, aapl.tick_size, aapl.session) == ("Apple Inc", None, None)
    opend.drop()
    await link.lost
    assert await Directory().search(link, "US.AAPL", 5, lambda _symbol: None) == []


async def test_a_search_does_not_wait_long_for_a_list(opend: Controller) -> None:
    """It comes with the next one; a list that OpenD never gives isn't waited for each time."""
    opend.define(AAPL)
    opend.slow(0.1)
    link = await linked(opend, FutuTimes(search_seconds=0.05, list_seconds=0.2))
    slow = Directory()
    assert await slow.search(link, "US.AAPL", 5, lambda _symbol: None) == []
    await eventually(lambda: not slow._fetching, "the list")
    assert await slow.search(link, "US.AAPL", 5, lambda _symbol: None)
    opend.slow(0)
    opend.ignore(STATIC_INFO)
    silent = Directory()
    assert await silent.search(link, "US.AAPL", 5, lambda _symbol: None) == []
    await eventually(lambda: not silent._fetching, "the end of waiting")
    asked = opend.requests().count(STATIC_INFO)
    assert await silent.search(link, "US.AAPL", 5, lambda _symbol: None) == []
    assert opend.requests().count(STATIC_INFO) == asked
    link.fail("was left")


UNUSUAL = (
    {"code": "HK.HSImain", "name": "HSI Future Main", "lot": 50, "type": 10},
    {"code": "US.ESmain", "name": "E-mini S&P 500", "lot": 50, "type": 10},
    {"code": "SG.CNmain", "name": "FTSE China A50", "lot": 1, "type": 10},
    {"code": "JP.NK225main", "name": "Nikkei 225", "lot": 1000, "type": 10},
    {"code": "HK.13579", "name": "TENCENT@EC2612A", "lot": 10000, "type": 5},
    {"code": "US.AAPL260914C332500", "name": "AAPL 260914 332.50C", "lot": 100, "type": 8},
    {"code": "HK.TCH260929C350000", "name": "TCH 260929 350.00C", "lot": 100, "type": 8},
    {"code": "CC.BTCUSD", "name": "Bitcoin", "lot": 1, "type": 12},
)


FOUND = {
    "HSIm": ("HK.HSImain", "future"),
    "HK_FUTURE.hsi": ("HK.HSImain", "future"),
    "HK.HSImain": ("HK.HSImain", "future"),
    "e-mini": ("US.ESmain", "future"),
    "cnmain": ("SG.CNmain", "future"),
    "nikkei": ("JP.NK225main", "future"),
    "13579": ("HK.13579", "warrant"),
    "tencent@": ("HK.13579", "warrant"),
    "US.AAPL260914C332500": ("US.AAPL260914C332500", "option"),
    "aapl260914c332500": ("US.AAPL260914C332500", "option"),
    "AAPL  260914C00332500": ("US.AAPL260914C332500", "option"),
    "HK.TCH260929C350000": ("HK.TCH260929C350000", "option"),
    "tch260929c350000": ("HK.TCH260929C350000", "option"),
    "CC.BTCUSD": ("CC.BTCUSD", "crypto"),
    "btcusd": ("CC.BTCUSD", "crypto"),
    "BTC-USD": ("CC.BTCUSD", "crypto"),
}


async def test_futures_and_warrants_are_listed_options_and_crypto_found_by_their_code(
    opend: Controller,
) -> None:
    """In whatever form that is written."""
    opend.define(*UNUSUAL)
    link = await linked(opend)
    directory, found = Directory(), {}
    for text in FOUND:
        [one] = await directory.search(link, text, 5, lambda _symbol: None)
        found[text] = one.symbol, one.kind
    link.fail("was left")
    assert found == FOUND


async def test_a_code_that_opend_does_not_have_is_not_found(opend: Controller) -> None:
    """It is asked for once, and somebody who types doesn't ask without end."""
    opend.define(*UNUSUAL)
    link = await linked(opend)
    directory = Directory()
    await directory.search(link, "US.", 5, lambda _symbol: None)  # has the lists
    asked = opend.requests().count(STATIC_INFO)
    for _ in range(3):
        assert await directory.search(link, "US.AAPL260914C1", 5, lambda _symbol: None) == []
    assert opend.requests().count(STATIC_INFO) == asked + 1
    for strike in range(2 * MAX_LOOKUPS):
        text = f"US.TSLA260914C{strike + 1}"
        assert await directory.search(link, text, 5, lambda _symbol: None) == []
    assert opend.requests().count(STATIC_INFO) == asked + MAX_LOOKUPS
    link.fail("was left")
