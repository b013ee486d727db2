import pytest

from bookcast import serve
from bookcast.feeds.futu.doctor import Report, examine
from bookcast.settings import from_keywords
from tests.fakes.opend import USER_INFO, Controller
from tests.support import connect, eventually

NOWHERE = "http://127.0.0.1:1"


async def look(*, url: str = NOWHERE, **settings: object) -> tuple[Report, str]:
    report = await examine(from_keywords(feed="futu", **settings), url)
    return report, "\n".join(report.lines)


async def test_everything_that_decides_whether_data_come_is_told(opend: Controller) -> None:
    """Versions, login, markets, rights, quota, what is subscribed, and by a server the ages."""
    opend.set_rights(us=3, hk=1, sh=5)
    opend.set_markets(US=8, HK=6)
    async with (
        serve(port=0, feed="futu", futu_port=opend.port) as server,
        connect(server.ws_url + "me") as ws,
    ):
        await ws.subscribe("AAPL")
        await eventually(lambda: opend.held() == ["US.AAPL:2"], "the subscription")
        opend.push({"code": "US.AAPL", "bids": [[1, 2, 3]], "asks": []})
        await ws.hear()
        report, text = await look(url=server.http_url, futu_port=opend.port)
    assert report.problems == []
    for words in (
        "futu-api 10.",
        "protobuf",
        f"OpenD at 127.0.0.1:{opend.port}",
        "not encrypted",
        "logged in to the quote servers",
        "Quota: 1 subscriptions used, 299 left",
        "orderbook:US.AAPL",
        "feed futu is connected, 1 subscriptions",
        "1 subscribers",
        "Nothing wrong was found.",
    ):
        assert words in text
    rows = [line.split() for line in report.lines]
    assert ["US", "pre"] in rows
    assert ["HK", "the", "market", "is", "closed"] in rows
    assert ["US", "stocks", "Level", "2", "pushed"] in rows
    assert ["HK", "stocks", "BMP", "snapshots", "only"] in rows
    assert ["SH", "stocks", "none", "nothing"] in rows


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
async def test_the_server_is_asked_past_a_proxy(
    opend: Controller, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """It runs on this machine, and a proxy has another 127.0.0.1."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serve(port=0, host=address, feed="futu", futu_port=opend.port) as server:
        _, text = await look(url=server.http_url, futu_port=opend.port)
    assert "feed futu is" in text
    assert "not running" not in text


async def test_problems_are_named_with_what_to_do(opend: Controller) -> None:
    """And counted."""
    opend.login(qot=False)
    opend.set_quota(0)
    opend.ignore(USER_INFO)
    report, text = await look(futu_port=opend.port)
    assert len(report.problems) == 3
    assert "it isn't logged in to the quote servers" in text
    assert "the quota is used up" in text
    assert "it doesn't answer GetUserInfo" in text
    assert "Problems found: 3." in text
    assert "is not running, or not here" in text


async def test_every_endpoint_is_looked_at(opend: Controller) -> None:
    """Also those that can't be reached."""
    endpoints = (f"127.0.0.1:{opend.port}", "127.0.0.1:1")
    report, text = await look(futu_endpoints=endpoints)
    assert f"OpenD at 127.0.0.1:{opend.port} (primary)" in text
    assert "OpenD at 127.0.0.1:1 (standby)" in text
    assert report.problems == ["it is not reachable. Does OpenD run, and is its API port 1?"]
