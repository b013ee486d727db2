"""Reads files with settings and secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_pipes: Final[dict[Path, bytes]] = {}


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    A named pipe is read only once, and its content is kept: when settings are read again, no
    program may be there to write it.

    Raises:
        OSError: when it can't be read.
    """
    if not path.is_fifo():
        return path.read_bytes()
    place = path.absolute()
    if place not in _pipes:
        _pipes[place] = path.read_bytes()
    return _pipes[place]
