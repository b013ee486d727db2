"""What a client publishes, as it is sent."""

from __future__ import annotations

from typing import Any, Final, Literal, NotRequired, TypedDict

import msgspec

from bookcast.client.errors import Refused
from bookcast.errors import InvalidInput
from bookcast.model import CHANNELS, Channel, Period
from bookcast.protocol.plain import plain

_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


class Publication(TypedDict):
    """One of many updates that are published at once; ``channel``: by default ``orderbook``."""

    symbol: str | None
    data: Any
    channel: NotRequired[Channel]
    period: NotRequired[Period | None]
    idempotency_key: NotRequired[str | None]


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
    about = {"channel": str(channel), "symbol": symbol}
    if channel not in CHANNELS:
        words = ", ".join(CHANNELS)
        raise Refused(
            "unknown_channel", f"channel: {channel!r} isn't one of {words}", final=True, **about
        )
    code: Literal["invalid_book", "invalid_data"] = (
        "invalid_book" if channel == "orderbook" else "invalid_data"
    )
    try:
        if isinstance(data, str | bytes):
            msgspec.json.decode(data)
            text = data.encode() if isinstance(data, str) else data
        else:
            text = _encode(plain(data, code))
    except InvalidInput as error:
        raise Refused(error.code, error.message, final=True, **about) from None
    except msgspec.DecodeError as error:
        raise Refused(
            "invalid_json", f"The data aren't JSON: {error}", final=True, **about
        ) from None
    except TypeError as error:
        raise Refused(
            code, f"The data can't be written as JSON: {error}", final=True, **about
        ) from None
    given = {"symbol": symbol, "period": period, "idempotency_key": idempotency_key}
    return {
        "action": "publish",
        "channel": channel,
        "data": msgspec.Raw(text),
        **{name: value for name, value in given.items() if value is not None},
    }
