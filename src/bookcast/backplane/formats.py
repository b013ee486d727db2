"""The formats of data that nodes write for each other, and what an earlier format can't hold.

Each node announces the highest format that it reads, and writes the lowest format that any living
node has announced. A field that older readers may ignore is appended, and needs no new format. A
value that older releases refuse needs one: it is left out in the earlier format.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeVar

import msgspec

from bookcast.model.feed_state import FeedState, Quota, Security
from bookcast.model.market_data import Data, Quote

OLDEST: Final = 1
"""The format of a node that announces none: a release from before the second format."""

NEWEST: Final = 2
"""The highest format that this release reads.

2: quotes and securities may have all trading sessions; a feed state may have more fields.
"""

_SESSIONS_1: Final = frozenset({"pre", "regular", "after", "overnight"})
_FEED_STATE_1: Final = 6
_QUOTA_1: Final = 3

_encode: Final = msgspec.msgpack.Encoder().encode
_parts: Final = msgspec.msgpack.Decoder(list[Any])
_QUOTA: Final = FeedState._fields.index("quota")

T = TypeVar("T", Quote, Security)


def common(announced: Iterable[int]) -> int:
    """Return the highest format that all nodes read, from the formats that they announced."""
    return max(OLDEST, min(announced, default=OLDEST))


def data_for(data: Data, form: int) -> Data:
    """Return data without what a format can't hold."""
    if form == OLDEST and isinstance(data, Quote) and data.session is not None:
        return _with_old_session(data)
    return data


def securities_for(securities: Iterable[Security], form: int) -> list[Security]:
    """Return securities without what a format can't hold."""
    if form > OLDEST:
        return list(securities)
    return [_with_old_session(one) if one.session is not None else one for one in securities]


def write_supply(supply: FeedState, form: int) -> bytes:
    """Return a feed's state of a topic as bytes: a list of its fields."""
    if form > OLDEST:
        return _encode(supply)
    parts: list[Any] = list(supply[:_FEED_STATE_1])
    if supply.quota is not None:
        parts[_QUOTA] = supply.quota[:_QUOTA_1]
    return _encode(parts)


def read_supply(text: bytes) -> FeedState:
    """Return the feed state that the bytes encode. Fields of later releases are ignored.

    Raises:
        msgspec.MsgspecError: when the bytes are no feed state.
    """
    parts = _parts.decode(text)[: len(FeedState._fields)]
    if len(parts) > _QUOTA and isinstance(parts[_QUOTA], list):
        parts[_QUOTA] = parts[_QUOTA][: len(Quota._fields)]
    return msgspec.convert(parts, FeedState)


def _with_old_session(one: T) -> T:
    if one.session in _SESSIONS_1:
        return one
    return msgspec.structs.replace(one, session=None)
