"""Files that settings are read from."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_pipes: Final[dict[Path, bytes]] = {}


def read_bytes(path: Path) -> bytes:
    """Return what a file holds.

    A named pipe is read once: when settings are read again, nobody may be there to write it.

    Raises:
        OSError: when it can't be read.
    """
    if not path.is_fifo():
        return path.read_bytes()
    place = path.absolute()
    if place not in _pipes:
        _pipes[place] = path.read_bytes()
    return _pipes[place]
