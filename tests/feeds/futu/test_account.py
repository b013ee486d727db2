from __future__ import annotations

import logging
from typing import Any

import pytest

from bookcast.feeds.futu.account import Account
from bookcast.feeds.futu.markets import MarketState
from bookcast.feeds.futu.schema import messages
from bookcast.model.topics import Symbol

US, HK, FX = Symbol("US.AAPL"), Symbol("HK.00700"), Symbol("FX.EURUSD")
MORNING, CLOSED, PRE = 3, 6, 8
EVENT, PROGRAM, CONNECTION, RIGHT, LEVEL, QUOTA, USED = range(1, 8)
LOGIN_FAILED, KICKED_OUT, TRADE_PASSWORD = 4, 7, 14


def notification(kind: int, **more: Any) -> bytes:
    response = messages("Notify").Response(retType=0)
    response.s2c.type = kind
    for field, value in more.items():
        getattr(response.s2c, field).CopyFrom(value)
    return bytes(response.SerializePartialToString())


def event(kind: int, words: str = "") -> bytes:
    return notification(EVENT, event=messages("Notify").GtwEvent(eventType=kind, desc=words))


def connection(logged_in: bool) -> bytes:
    status = messages("Notify").ConnectStatus(qotLogined=logged_in, trdLogined=True)
    return notification(CONNECTION, connectStatus=status)


def program(kind: int, words: str = "") -> bytes:
    status = messages("Notify").ProgramStatus()
    status.programStatus.type, status.programStatus.strExtDesc = kind, words
    return notification(PROGRAM, programStatus=status)


def global_state(logged_in: bool = True, words: str = "", **markets: int) -> Any:
    s2c = messages("GetGlobalState").S2C(qotLogined=logged_in, **markets)
    s2c.programStatus.type, s2c.programStatus.strExtDesc = 10, words
    return s2c


def test_the_kinds_are_opends() -> None:
    """By OpenD's own names."""
    kinds = messages("Notify").NotifyType
    names = ["GtwEvent", "ProgramStatus", "ConnStatus", "QotRight", "APILevel", "APIQuota"]
    assert [kinds.Value(f"NotifyType_{name}") for name in names] == [1, 2, 3, 4, 5, 6]
    assert messages("Notify").GtwEventType.Value("GtwEventType_KickedOut") == KICKED_OUT


def test_a_markets_state_is_that_of_its_symbols() -> None:
    """Of those that OpenD tells of."""
    account = Account()
    assert account.market(US) == MarketState()
    account.take_global_state(global_state(marketUS=PRE, marketHK=CLOSED))
    assert account.session(US) == "pre"
    assert account.market(HK).closed == "the market is closed"
    assert account.session(HK) is None
    assert account.market(FX) == MarketState()
    account.take_global_state(global_state(marketUS=MORNING))
    assert account.session(US) == "regular"
    assert account.market(HK) == MarketState()


def test_an_opend_that_is_not_logged_in_is_in_trouble() -> None:
    """Until it says otherwise, in the state it is asked for."""
    account = Account()
    assert account.trouble is None
    account.take_global_state(global_state(logged_in=False, words="wrong password"))
    assert account.trouble == "OpenD isn't logged in to the quote servers: wrong password"
    account.take_global_state(global_state())
    assert account.trouble is None


def test_a_lost_login_is_trouble_until_it_is_back() -> None:
    """Then what is subscribed should be looked at again."""
    account = Account()
    account.take_global_state(global_state())
    assert not account.take_notification(connection(logged_in=False))
    assert account.trouble == "OpenD has lost its login to the quote servers"
    assert account.take_notification(connection(logged_in=True))
    assert account.trouble is None


def test_an_account_that_logged_in_elsewhere_says_so() -> None:
    """And goes on saying so when the login is lost by that."""
    account = Account()
    account.take_global_state(global_state())
    assert not account.take_notification(event(KICKED_OUT, "by a phone"))
    said = "this account was logged in elsewhere, which takes its quote rights over: by a phone"
    assert account.trouble == said
    account.take_notification(connection(logged_in=False))
    assert account.trouble == said
    account.take_global_state(global_state(logged_in=False))
    assert account.trouble == said
    account.take_global_state(global_state(logged_in=True))
    assert account.trouble is None


def test_a_failed_login_is_trouble_in_opends_words() -> None:
    """With who says so."""
    account = Account()
    account.take_notification(event(LOGIN_FAILED, "wrong password"))
    assert account.trouble == "OpenD's login failed: wrong password"


def test_a_failed_login_without_words_is_said_in_ours() -> None:
    """The name of the program alone tells nobody anything."""
    account = Account()
    account.take_notification(event(LOGIN_FAILED))
    assert account.trouble is not None
    assert "login" in account.trouble or "logged in" in account.trouble


def test_other_events_are_no_trouble() -> None:
    """A password for trades isn't needed here."""
    account = Account()
    assert not account.take_notification(event(TRADE_PASSWORD, "changed"))
    assert account.trouble is None


def test_a_program_that_is_not_ready_is_told_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nothing is done about it, and a ready one isn't mentioned."""
    caplog.set_level(logging.WARNING)
    account = Account()
    assert not account.take_notification(program(10))
    assert not caplog.records
    assert not account.take_notification(program(3, "a picture has to be read"))
    assert "a picture has to be read" in caplog.text


def test_rights_are_learned_from_an_answer_and_from_notifications() -> None:
    """The newer word counts, market by market."""
    account = Account()
    assert account.missing_right(US) is None
    account.take_user_info(messages("GetUserInfo").S2C(usQotRight=5, hkQotRight=3))
    assert account.missing_right(US) == "the account's right for US stocks is none"
    right = messages("Notify").QotRight(usQotRight=2)
    assert account.take_notification(notification(RIGHT, qotRight=right))
    assert account.missing_right(US) is None
    assert account.rights == {"US stocks": 2, "HK stocks": 3}


@pytest.mark.parametrize(
    ("kind", "look"), [(QUOTA, True), (USED, True), (LEVEL, False), (0, False), (99, False)]
)
def test_a_changed_quota_is_reason_to_look_again(kind: int, look: bool) -> None:
    """Others aren't."""
    assert Account().take_notification(notification(kind)) is look


def test_of_another_connection_nothing_is_known_but_the_rights() -> None:
    """Those belong to the account."""
    account = Account()
    account.take_user_info(messages("GetUserInfo").S2C(usQotRight=5))
    account.take_global_state(global_state(logged_in=False, marketUS=CLOSED))
    account.disconnected()
    assert account.trouble is None
    assert account.market(US) == MarketState()
    assert account.missing_right(US) is not None
    account.take_global_state(global_state())
    assert account.trouble is None


FUTURE, OPTION = Symbol("HK.HSImain"), Symbol("US.AAPL260914C332500")


def told_rights(**rights: int) -> bytes:
    return notification(RIGHT, qotRight=messages("Notify").QotRight(**rights))


def test_a_stolen_right_says_how_it_comes_back() -> None:
    """Of the kind of security that lost it, and of no other."""
    account = Account(clock=lambda: 50.0)
    account.take_user_info(messages("GetUserInfo").S2C(usQotRight=3, usOptionQotRight=3))
    account.take_notification(told_rights(usQotRight=3, usOptionQotRight=5))
    lost = account.lost_right(OPTION, 40.0) or ""
    assert lost.startswith("the account's right for US options is none")
    assert "auto_hold_quote_right" in lost
    assert "request_highest_quote_right" in lost
    assert account.lost_right(OPTION, 60.0) is None, "it still comes"
    assert account.lost_right(US, 40.0) is None
    account.take_notification(told_rights(usOptionQotRight=3))
    assert account.lost_right(OPTION, 40.0) is None


def test_a_right_that_falls_to_one_level_is_told_until_it_is_back() -> None:
    """A right that always had one level is nothing to tell."""
    account = Account()
    account.take_user_info(messages("GetUserInfo").S2C(hkQotRight=3, usQotRight=2))
    assert account.fewer_levels(HK) is None
    account.take_notification(told_rights(hkQotRight=2, usQotRight=2))
    fewer = account.fewer_levels(HK) or ""
    assert "the account's right for HK stocks fell from Level 2 to Level 1" in fewer
    assert account.fewer_levels(US) is None
    account.take_notification(told_rights(hkQotRight=2))
    assert account.fewer_levels(HK) is not None
    account.take_notification(told_rights(hkQotRight=4))
    assert account.fewer_levels(HK) is None


def test_the_sf_right_is_known() -> None:
    """It limits books of Hong Kong."""
    account = Account()
    assert not account.has_sf
    account.take_notification(told_rights(hkQotRight=4))
    assert account.has_sf


def test_futures_are_not_closed_by_the_stock_market() -> None:
    """Their own market's state stands in until OpenD tells each security's."""
    account = Account()
    account.take_global_state(global_state(marketHK=CLOSED, marketHKFuture=13))
    assert account.market(HK).closed is not None
    assert account.market(FUTURE) == MarketState(None, "night")
