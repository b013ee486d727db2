"""What a client publishes, as it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NotRequired, TypedDict

import msgspec

from bookcast.client.errors import Refused
from bookcast.errors import InvalidInput
from bookcast.ingest.python_input import plain
from bookcast.model.topics import CHANNELS, Channel, Period

if TYPE_CHECKING:
    from bookcast.ingest.input_types import (
        BookInput,
        BrokersInput,
        CandleInput,
        QuoteInput,
        TimePointInput,
        TradesInput,
    )

_FIELDS: Final = ("symbol", "channel", "data", "period", "idempotency_key")
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class _Common(TypedDict):
    """What one of many updates that are published at once has, whatever its channel."""

    symbol: str | None
    idempotency_key: NotRequired[str | None]


class BookPublication(_Common):
    """A book."""

    data: BookInput
    channel: NotRequired[Literal["orderbook"]]


class QuotePublication(_Common):
    """A quote."""

    data: QuoteInput
    channel: Literal["quote"]


class TradesPublication(_Common):
    """Trades."""

    data: TradesInput
    channel: Literal["trades"]


class CandlePublication(_Common):
    """A candle."""

    data: CandleInput
    channel: Literal["candles"]
    period: NotRequired[Period | None]


class BrokersPublication(_Common):
    """The brokers of both sides."""

    data: BrokersInput
    channel: Literal["brokers"]


class TimePointPublication(_Common):
    """A minute of the day's line."""

    data: TimePointInput
    channel: Literal["timeframe"]


Publication = (
    BookPublication
    | QuotePublication
    | TradesPublication
    | CandlePublication
    | BrokersPublication
    | TimePointPublication
)
"""One of many updates that are published at once; without a ``channel`` it is a book."""


def command_of(
    symbol: str | None,
    data: Any,
    channel: Channel,
    period: Period | None,
    idempotency_key: str | None,
) -> dict[str, Any]:
    """Return the command that publishes data.

    They may be what a program has: numbers of numpy, decimals, dates, tables of pandas or polars.
    JSON text is sent as it is.

    Raises:
        Refused: when JSON has no words for it, with the place.
    """

    def refused(code: str, message: str) -> Refused:
        return Refused(code, message, final=True, channel=str(channel), symbol=symbol)

    if channel not in CHANNELS:
        words = ", ".join(CHANNELS)
        raise refused("unknown_channel", f"channel: {channel!r} isn't one of {words}")
    code = "invalid_book" if channel == "orderbook" else "invalid_data"
    try:
        if isinstance(data, str | bytes | bytearray):
            text = data.encode() if isinstance(data, str) else bytes(data)
            value = msgspec.json.decode(text)
        else:
            value = plain(data, code)
            text = _encode(value)
        _encode((symbol, period, idempotency_key))
    except InvalidInput as error:
        raise refused(error.code, error.message) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise refused("invalid_json", f"The data aren't JSON: {error}") from None
    except UnicodeEncodeError as error:
        raise refused(code, f"There is text that can't be written as UTF-8: {error}") from None
    except TypeError as error:
        raise refused(code, f"The data can't be written as JSON: {error}") from None
    if symbol is None and (symbol := _code_in(value)) is None:
        raise refused("invalid_symbol", "Name a symbol: the data have no one 'code' of futu-api's")
    given = {"symbol": symbol, "period": period, "idempotency_key": idempotency_key}
    return {
        "action": "publish",
        "channel": channel,
        "data": msgspec.Raw(text),
        **{name: value for name, value in given.items() if value is not None},
    }


def command_of_update(update: Publication) -> dict[str, Any]:
    """Return the command that publishes one of many updates.

    Raises:
        Refused: as :func:`command_of`, and when it isn't such an update.
    """
    given: Any = update
    problem = None
    if not isinstance(given, Mapping):
        problem = f"an update is a dict with a symbol and data, not {type(given).__name__}"
    elif unknown := [str(name) for name in given if name not in _FIELDS]:
        problem = f"an update has no {', '.join(unknown)}; it has {', '.join(_FIELDS)}"
    elif "data" not in given:
        problem = "an update has data"
    if problem is not None:
        raise Refused("invalid_message", problem, final=True)
    return command_of(
        given.get("symbol"),
        given["data"],
        given.get("channel", "orderbook"),
        given.get("period"),
        given.get("idempotency_key"),
    )


def is_text(text: str) -> bool:
    """Return whether text can be sent: half a character, a lone surrogate, can't."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _code_in(value: Any) -> str | None:
    """Return the one code that futu-api names in what it hands over."""
    rows = value if isinstance(value, list) else [value]
    codes = {row.get("code") for row in rows if isinstance(row, dict)}
    code = codes.pop() if len(codes) == 1 else None
    return code if isinstance(code, str) else None
