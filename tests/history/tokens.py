"""Tokens of clients and publishers: how long they are valid, and for which symbols."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import jwt
import msgspec

from tests.history.modes import SECRET

LIFETIME = 6.0
"""So long a client's token holds: it is renewed several times in a run."""

PUBLISHER_LIFETIME = 300.0


class Token(msgspec.Struct, frozen=True):
    """A token. ``until``: when it expires, by the run's clock; ``symbols``: None: all."""

    text: str
    until: float
    symbols: tuple[str, ...] | None = None


class Wallet:
    """Makes the tokens of one client.

    Args:
        name: the client's, whom they are for.
        clock: seconds since the run began.
        narrow: every second token is for these symbols alone; None: all are for all symbols.
    """

    def __init__(
        self, name: str, *, clock: Callable[[], float], narrow: Sequence[str] | None = None
    ) -> None:
        self._name = name
        self._clock = clock
        self._narrow = tuple(narrow) if narrow is not None else None
        self._count = 0

    def widen(self) -> None:
        """Issue tokens for all symbols from now on."""
        self._narrow = None

    def issue(self) -> Token:
        """Return the next token."""
        self._count += 1
        symbols = self._narrow if self._count % 2 == 0 else None
        claims: dict[str, object] = {"sub": self._name, "exp": time.time() + LIFETIME}
        if symbols is not None:
            claims["bookcast"] = {"symbols": [f"US.{symbol}" for symbol in symbols]}
        return Token(_sign(claims), self._clock() + LIFETIME, symbols)


def publishing(name: str, *, may: bool = True) -> str:
    """Return a publisher's token; with ``may`` false it only allows reading."""
    scope = "read publish" if may else "read"
    return _sign({"sub": name, "exp": time.time() + PUBLISHER_LIFETIME, "scope": scope})


def _sign(claims: dict[str, object]) -> str:
    return jwt.encode(claims, SECRET, algorithm="HS256")
