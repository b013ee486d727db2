"""OpenD's wire format: a header of 44 bytes, then a protobuf body, encrypted if a key is set.

Header, little endian: ``FT``, protocol id, body format (0: protobuf), version (0), serial number,
length of the body as sent, SHA-1 of the plain body, 8 reserved bytes.
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from bookcast.errors import StartupError

HEADER: Final = struct.Struct("<2sIBBII20s8s")
MAX_BODY: Final = 64 * 1024 * 1024
"""Maximum length of a body. A market's list of securities has some megabytes; none is longer."""

MAX_PUSH: Final = 4 * 1024 * 1024
"""Maximum length of a push. Real ones are far shorter."""

BLOCK: Final = 16
_PKCS1_OVERHEAD: Final = 11


class Garbage(Exception):
    """Received data aren't OpenD's protocol. The text says why."""


class Cipher(Protocol):
    """Encrypts bodies on their way to OpenD and decrypts those from it."""

    def encrypt(self, body: bytes) -> bytes:
        """Return the encrypted body."""

    def decrypt(self, body: bytes) -> bytes:
        """Return the plain body of an encrypted one."""


class Frame(NamedTuple):
    """One message. ``digest``: the SHA-1 of the plain body, as the header has it."""

    protocol: int
    serial: int
    body: bytes
    digest: bytes


def pack(protocol: int, serial: int, body: bytes, cipher: Cipher | None = None) -> bytes:
    """Return one message as bytes."""
    digest = hashlib.sha1(body, usedforsecurity=False).digest()
    if cipher is not None:
        body = cipher.encrypt(body)
    return HEADER.pack(b"FT", protocol, 0, 0, serial, len(body), digest, bytes(8)) + body


_WRONG_KEY: Final = " (is FUTU_RSA_KEY_FILE the key that OpenD has?)"


def plain(frame: Frame, cipher: Cipher | None = None) -> bytes:
    """Return the plain body of a message.

    Raises:
        Garbage: when it can't be decrypted, or its checksum differs from the header's.
    """
    body = frame.body
    if cipher is not None:
        try:
            body = cipher.decrypt(body)
        except ValueError as error:
            raise Garbage(f"a message can't be decrypted: {error}{_WRONG_KEY}") from None
    if hashlib.sha1(body, usedforsecurity=False).digest() != frame.digest:
        raise Garbage(
            f"message {frame.protocol} has another checksum than its header says"
            + (_WRONG_KEY if cipher is not None else "")
        )
    return body


class Reader:
    """Splits a stream of bytes into messages."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._needed = HEADER.size

    def read(self, data: bytes, longest: int = MAX_BODY) -> list[Frame]:
        """Add received bytes, and return the messages that are complete now.

        Raises:
            Garbage: when the bytes aren't OpenD's protocol.
        """
        if self._rest:
            self._rest += data
            if len(self._rest) < self._needed:
                return []
            data = bytes(self._rest)
        frames = []
        self._needed = HEADER.size
        at, end = 0, len(data)
        while end - at >= HEADER.size:
            mark, protocol, form, _, serial, length, digest, _ = HEADER.unpack_from(data, at)
            if mark != b"FT":
                raise Garbage(f"a message begins with {mark!r} instead of b'FT'")
            if length > longest:
                raise Garbage(f"a message claims to have {length} bytes")
            if form != 0:
                raise Garbage(f"message {protocol} isn't protobuf; set OpenD's push_proto_type=0")
            begin = at + HEADER.size
            if end - begin < length:
                self._needed = HEADER.size + length
                break
            at = begin + length
            frames.append(Frame(protocol, serial, data[begin:at], digest))
        self._rest = bytearray(data[at:])
        return frames


def read_key(path: Path) -> Any:
    """Return the private RSA key that OpenD uses too (PKCS#1, 1024 bits).

    Raises:
        StartupError: when the file can't be read, or has no private RSA key.
    """
    # Imported here: the package comes with futu-api, which is an extra.
    from Crypto.PublicKey import RSA  # noqa: PLC0415 - an extra

    try:
        key = RSA.import_key(path.read_bytes())
    except OSError as error:
        raise StartupError(
            f"FUTU_RSA_KEY_FILE is {str(path)!r}, which can't be read: {error.strerror}"
        ) from None
    except (ValueError, IndexError, TypeError) as error:  # depending on the fault
        raise StartupError(f"FUTU_RSA_KEY_FILE {str(path)!r} holds no RSA key: {error}") from None
    if not key.has_private():
        raise StartupError(
            f"FUTU_RSA_KEY_FILE {str(path)!r} holds a public key; OpenD's private one is needed"
        )
    return key


class Rsa:
    """RSA with PKCS#1 v1.5 padding, in pieces, for the first message and its answer."""

    def __init__(self, key: Any) -> None:
        from Crypto.Cipher import PKCS1_v1_5  # noqa: PLC0415 - an extra

        self._cipher = PKCS1_v1_5.new(key)
        self._size = key.size_in_bytes()
        # The vendor's packages use pieces of 100 bytes with a key of 1024 bits.
        self._piece = min(100 * self._size // 128, self._size - _PKCS1_OVERHEAD)

    def encrypt(self, body: bytes) -> bytes:
        """Return the body encrypted piece by piece."""
        pieces = range(0, len(body), self._piece)
        return b"".join(self._cipher.encrypt(body[at : at + self._piece]) for at in pieces)

    def decrypt(self, body: bytes) -> bytes:
        """Return the body decrypted piece by piece."""
        pieces = range(0, len(body), self._size)
        return b"".join(self._cipher.decrypt(body[at : at + self._size], b"") for at in pieces)


class Aes:
    """AES for all further messages: CBC if OpenD sent an initial vector, else Futu's form of ECB.

    With ECB, an extra last block has the number of valid bytes in the block before it; 0: all.
    """

    def __init__(self, key: bytes, vector: bytes | None) -> None:
        from Crypto.Cipher import AES  # noqa: PLC0415 - an extra

        self._new: Any = (
            (lambda: AES.new(key, AES.MODE_CBC, iv=vector))
            if vector
            else (lambda: AES.new(key, AES.MODE_ECB))
        )
        self._chained = bool(vector)

    def encrypt(self, body: bytes) -> bytes:
        """Return the body padded and encrypted."""
        over = len(body) % BLOCK
        if self._chained:
            padding = BLOCK - over
            return bytes(self._new().encrypt(body + bytes([padding]) * padding))
        padded = body + bytes(-len(body) % BLOCK)
        tail = bytes(BLOCK - 1) + bytes([over])
        return bytes(self._new().encrypt(padded)) + tail

    def decrypt(self, body: bytes) -> bytes:
        """Return the body decrypted, without the padding."""
        if not body or len(body) % BLOCK:
            raise ValueError(f"{len(body)} bytes aren't whole blocks")
        if self._chained:
            text = bytes(self._new().decrypt(body))
            return text[: -text[-1]] if text[-1] else text
        text, over = bytes(self._new().decrypt(body[:-BLOCK])), body[-1]
        return text[: over - BLOCK] if over else text
