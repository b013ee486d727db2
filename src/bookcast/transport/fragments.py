"""A WebSocket message that comes in fragments."""

from __future__ import annotations

import codecs
from typing import Final

_UTF8: Final = codecs.getincrementaldecoder("utf-8")


class Assembly:
    """The fragments of a message so far. A fault in a text's encoding is found in its fragment."""

    __slots__ = ("_decoder", "_fragments", "is_text")

    def __init__(self, *, is_text: bool) -> None:
        self.is_text = is_text
        self._decoder = _UTF8() if is_text else None
        self._fragments: list[bytes] = []

    def add(self, fragment: bytes, *, last: bool) -> None:
        """Add a fragment.

        Raises:
            UnicodeDecodeError: when a text message can't be UTF-8 any more.
        """
        if self._decoder is not None:
            self._decoder.decode(fragment, last)
        self._fragments.append(fragment)

    def __len__(self) -> int:
        return len(self._fragments)

    def whole(self) -> bytes:
        """Return the whole message."""
        return b"".join(self._fragments)
