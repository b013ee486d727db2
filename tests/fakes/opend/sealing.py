"""How bodies are encrypted: not at all, with RSA (InitConnect), or with AES (all the rest)."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from Crypto.Cipher import AES, PKCS1_v1_5
from Crypto.PublicKey import RSA
from Crypto.Util.Padding import pad, unpad

BLOCK = AES.block_size
FTAES_ECB, AES_CBC = 0, 2
"""Those of Common.PacketEncAlgo that there are here."""


class Seal(Protocol):
    """One way of encrypting; ``open`` raises ValueError for what isn't encrypted so."""

    def seal(self, body: bytes) -> bytes:
        """Encrypt a body."""

    def open(self, sealed: bytes) -> bytes:
        """Decrypt a body."""


class NoSeal:
    """Bodies as they are."""

    def seal(self, body: bytes) -> bytes:
        """Return the body unchanged."""
        return body

    def open(self, sealed: bytes) -> bytes:
        """Return the body unchanged."""
        return sealed


class RsaSeal:
    """PKCS#1 v1.5 in chunks: of 100 bytes with a key of 1024 bits, and so on in proportion."""

    def __init__(self, file: Path) -> None:
        key = RSA.import_key(file.read_bytes())
        self._cipher = PKCS1_v1_5.new(key)
        self._sealed = key.size_in_bytes()
        self._chunk = 100 * self._sealed // 128

    def seal(self, body: bytes) -> bytes:
        """Encrypt with the public half."""
        starts = range(0, len(body), self._chunk)
        return b"".join(self._cipher.encrypt(body[at : at + self._chunk]) for at in starts)

    def open(self, sealed: bytes) -> bytes:
        """Decrypt with the private half."""
        starts = range(0, len(sealed), self._sealed)
        # A chunk that can't be decrypted becomes nothing, and the digest won't be right.
        return b"".join(self._cipher.decrypt(sealed[at : at + self._sealed], b"") for at in starts)


class CbcSeal:
    """AES in CBC mode, every message begun anew with the same iv."""

    def __init__(self, key: str, iv: str) -> None:
        self._key, self._iv = key.encode(), iv.encode()

    def seal(self, body: bytes) -> bytes:
        """Pad and encrypt."""
        return AES.new(self._key, AES.MODE_CBC, iv=self._iv).encrypt(pad(body, BLOCK))

    def open(self, sealed: bytes) -> bytes:
        """Decrypt and take the padding off."""
        return unpad(AES.new(self._key, AES.MODE_CBC, iv=self._iv).decrypt(sealed), BLOCK)


class EcbSeal:
    """AES in ECB mode, padded with zeros; a final block has the length of the one before it."""

    def __init__(self, key: str) -> None:
        self._cipher = AES.new(key.encode(), AES.MODE_ECB)

    def seal(self, body: bytes) -> bytes:
        """Encrypt, and put the last block after it."""
        rest = len(body) % BLOCK
        padded = body + bytes(-len(body) % BLOCK)
        return self._cipher.encrypt(padded) + bytes(BLOCK - 1) + bytes([rest])

    def open(self, sealed: bytes) -> bytes:
        """Take the last block off, and decrypt."""
        if len(sealed) < BLOCK:
            raise ValueError("there is no last block")
        body, rest = self._cipher.decrypt(sealed[:-BLOCK]), sealed[-1]
        return body[: len(body) - BLOCK + rest] if rest else body
