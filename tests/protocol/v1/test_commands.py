import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from bookcast.errors import InvalidInput
from bookcast.protocol.v1 import messages as v1
from bookcast.protocol.v1.commands import CommandTarget, aim_of, read_command
from bookcast.protocol.v1.ignored import MAX_IGNORED

SINCE = {"epoch": "e", "seq": 1}
TRADES = {"channel": "trades", "symbol": "AAPL", "epoch": "e", "seq": 1}


def said(**fields: Any) -> str:
    return json.dumps(fields)


def fault(**fields: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        read_command(said(**fields))
    return caught.value


def test_a_command_is_read() -> None:
    """Whole, with nothing to say of it."""
    command, ignored, faults = read_command(said(action="subscribe", symbol="AAPL", depth=5))
    assert isinstance(command, v1.Subscribe)
    assert (command.symbol, command.depth, command.channel) == ("AAPL", 5, "orderbook")
    assert (ignored, faults) == ((), ())


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"action": "subscribe", "symbol": "A", "dept": 5}, ("dept",)),
        ({"action": "subscribe", "symbol": "A", "Mode": 1, "x": {}}, ("Mode", "x")),
        ({"action": "unsubscribe", "symbol": "A", "depth": 5}, ("depth",)),
        ({"action": "publish", "symbol": "A", "channel": "quote", "data": 1, "key": 1}, ("key",)),
        ({"action": "ping", "": 1}, ("",)),
        (
            {"action": "resume", "session": "s", "positions": [TRADES, TRADES | {"sq": 1}]},
            ("positions[1].sq",),
        ),
        ({"action": "list", "x" * 100: 1}, ("x" * 64 + "…",)),
        ({"action": "subscribe", "symbol": "A", "since": SINCE}, ()),
        (
            {"action": "Subscribe", "symbol": "A", "since": SINCE | {"sq": 1, "": 2}, "x": 1},
            ("x", "since.sq", "since."),
        ),
        ({"action": "unsubscribe", "symbol": "A", "since": SINCE | {"sq": 1}}, ("since",)),
    ],
)
def test_fields_that_arent_known_are_named(fields: dict[str, Any], names: tuple[str, ...]) -> None:
    """In the order in which they came; a long name is cut."""
    assert read_command(said(**fields)).ignored == names


def test_no_more_than_a_few_are_named() -> None:
    """A short question must not make an endless answer."""
    many = {f"f{number}": 1 for number in range(1000)}
    assert read_command(said(action="ping", **many)).ignored == tuple(many)[:MAX_IGNORED]


def test_a_position_that_cant_be_read_spoils_no_other() -> None:
    """It names its place and its topic."""
    positions = [TRADES, 5, TRADES | {"seq": "7"}, {"channel": "quote", "symbol": 5}, TRADES]
    command, _, faults = read_command(said(action="resume", session="s", positions=positions))
    assert isinstance(command, v1.Resume)
    assert len(command.positions) == 2
    assert [(one.path, one.channel, one.symbol) for one in faults] == [
        ("", None, None),
        ("positions[2].seq", "trades", "AAPL"),
        ("positions[3].symbol", "quote", None),
    ]
    assert [one.message for one in faults][:2] == [
        "positions[1]: expected an object, got a whole number",
        "positions[2].seq: expected a whole number, got text",
    ]


@pytest.mark.parametrize(
    ("fields", "code", "sentence"),
    [
        ({"action": "subscrib"}, "unknown_action", "There is no action 'subscrib'; there are"),
        ({}, "invalid_message", "action is missing"),
        (
            {"action": 5},
            "invalid_message",
            "action: expected text, got a whole number; it is one of subscribe, unsubscribe",
        ),
        ({"action": "resume", "session": "s", "positions": 5}, "invalid_message", "positions: exp"),
        ({"action": "resume", "positions": []}, "invalid_message", "session is missing"),
        ({"action": "subscribe", "mode": "x", "y": 1}, "invalid_message", "one of full, delta"),
    ],
)
def test_what_is_no_command_is_refused(fields: dict[str, Any], code: str, sentence: str) -> None:
    """With the place of the fault, whatever is ignored besides."""
    error = fault(**fields)
    assert error.code == code
    assert error.message.startswith(sentence) or sentence in error.message


@pytest.mark.parametrize(
    ("text", "aim"),
    [
        ('{"id":1,"channel":"x","symbol":"A"}', CommandTarget(1, "x", ("A",))),
        (
            '{"action":"subscribe","symbols":["A",5,"B","A"]}',
            CommandTarget(UNSET, "orderbook", ("A", "B")),
        ),
        ('{"action":"publish","symbol":"A"}', CommandTarget(UNSET, UNSET, ("A",))),
        ('{"action":"subscribe","channel":5,"symbols":7}', CommandTarget()),
        ('{"id":1,"symbol":"A","data":NaN}', CommandTarget(1, UNSET, ("A",))),
        ('{"id":{},"action":[]}', CommandTarget()),
        (
            r'{"id":"\ud800","action":"list","channel":"x\udfff","symbol":"\ud83d\ude00","\ud800":NaN}',
            CommandTarget("?", "x?", ("😀",), ("channel", "symbol", "?")),
        ),
        ('{"action":"Ping","x":1,"since":{"y":1},"id":{}}', CommandTarget(ignored=("x", "since"))),
        (
            '{"action":"subscribe","symbol":"A","since":{"sq":NaN},"x":1}',
            CommandTarget(UNSET, "orderbook", ("A",), ("x", "since.sq")),
        ),
        ('{"action":"subscribe","since":5}', CommandTarget(UNSET, "orderbook")),
        ("[1]", CommandTarget()),
        ("{", CommandTarget()),
    ],
)
def test_a_message_that_is_wrong_is_about_what_it_says(text: str, aim: CommandTarget) -> None:
    """As far as that can be read."""
    assert aim_of(text) == aim


FIELDS = st.dictionaries(
    st.sampled_from(["symbol", "symbols", "channel", "mode", "id", "positions", "session", "x"]),
    st.none() | st.integers() | st.text(max_size=3) | st.lists(st.text(max_size=3), max_size=3),
)


@given(st.sampled_from(["subscribe", "unsubscribe", "resume", "ping", "why"]), FIELDS)
def test_unknown_fields_change_nothing_else(action: str, fields: dict[str, Any]) -> None:
    """A command means the same with and without them."""

    def outcome(more: dict[str, Any]) -> object:
        try:
            read = read_command(json.dumps({"action": action, **fields, **more}))
        except InvalidInput as error:
            return error.code, error.message
        known = {name: getattr(read.command, name) for name in type(read.command).__struct_fields__}
        return known, read.faults

    fields.pop("x", None)
    assert repr(outcome({})) == repr(outcome({"unknown": 1}))
