"""The extra modes of a run: settings of its nodes, and what publishers and clients do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, get_args

Mode = Literal["workers", "auth", "all", "local", "candles"]
"""``workers``: the first node has two. ``auth``: clients show tokens, which expire and are renewed,
some for narrower rights. ``all``: SESSION_QUEUE=all. ``local``: ENGINE_DOWN_PUBLISH=local.
``candles``: they are published too, forming and final."""

MODES: Final[tuple[Mode, ...]] = get_args(Mode)

SECRET: Final = "a secret of the history proof, long enough to sign with"

QUEUE_SIZE: Final = 1000
"""With ``all``: so many books of a symbol wait for a client."""

SETTINGS: Final[dict[Mode, dict[str, str]]] = {
    "workers": {},
    "auth": {"AUTH_MODE": "jwt", "AUTH_JWT_SECRET": SECRET},
    "all": {"SESSION_QUEUE": "all", "SESSION_QUEUE_SIZE": str(QUEUE_SIZE)},
    "local": {"ENGINE_DOWN_PUBLISH": "local"},
    "candles": {},
}


def modes_of(seed: int) -> frozenset[Mode]:
    """Return the modes of a seed: its bits 0 to 4 stand for them, in the order of ``MODES``.

    So seed 0 has none, 1 workers, 2 auth, 4 all, 8 local, 16 candles, and 31 has all of them.
    """
    return frozenset(mode for bit, mode in enumerate(MODES) if seed >> bit & 1)


def settings_of(modes: Iterable[Mode]) -> dict[str, str]:
    """Return the settings that all nodes have because of some modes."""
    return {name: value for mode in modes for name, value in SETTINGS[mode].items()}
