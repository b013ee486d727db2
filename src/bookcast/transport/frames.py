"""Texts to WebSocket frames. Equal frames are made once and shared, also compressed ones."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Final

from websockets.exceptions import NegotiationError
from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import Frame, Opcode
from websockets.typing import ExtensionName

DEFLATE_LEVEL: Final = 6
FLUSH_END: Final = b"\x00\x00\xff\xff"


class Framer:
    """Puts texts into unfragmented, unmasked frames, which clients share.

    Texts of ``deflate_min_bytes`` or more are compressed for clients that accept compression.
    """

    def __init__(self, deflate_min_bytes: int = 0) -> None:
        self._deflate_min_bytes = deflate_min_bytes
        self._deflate = [SharedCompression()]

    def __call__(self, payload: bytes, deflate: bool) -> bytes:  # noqa: FBT001 - the kind of frame
        """Return a text as a frame."""
        frame = Frame(Opcode.TEXT, payload)
        if deflate and len(payload) >= self._deflate_min_bytes:
            return frame.serialize(mask=False, extensions=self._deflate)
        return frame.serialize(mask=False)


class SharedCompression(Extension):
    """permessage-deflate for frames that clients share.

    No frame refers to an earlier one (no context takeover); otherwise it couldn't be shared.
    """

    name = ExtensionName("permessage-deflate")

    def __init__(self) -> None:
        # One compressor for all frames. A full flush makes it forget the earlier frames, which is
        # cheaper than a new compressor.
        self._compressor = zlib.compressobj(level=DEFLATE_LEVEL, wbits=-15)

    def encode(self, frame: Frame) -> Frame:
        """Compress a frame, unless that makes it longer."""
        compressed = self._compressor.compress(frame.data)
        compressed += self._compressor.flush(zlib.Z_FULL_FLUSH)
        # Every flush ends with the same bytes, which the sender leaves out (RFC 7692, 7.2.1).
        compressed = compressed[: -len(FLUSH_END)]
        if len(compressed) >= len(frame.data):
            return frame
        return Frame(frame.opcode, compressed, frame.fin, rsv1=True)


class SharedDeflate(ServerPerMessageDeflateFactory):
    """Negotiates compression of frames that clients share."""

    def __init__(self) -> None:
        super().__init__(server_no_context_takeover=True, client_no_context_takeover=True)

    def process_request_params(
        self, params: Sequence[tuple[str, str | None]], accepted_extensions: Sequence[Any]
    ) -> tuple[list[tuple[str, str | None]], PerMessageDeflate]:
        """Accept an offer, unless it asks for a smaller window: such frames can't be shared."""
        for name, value in params:
            if name == "server_max_window_bits" and value != "15":
                raise NegotiationError("frames are compressed with the full window")
        return super().process_request_params(params, accepted_extensions)
