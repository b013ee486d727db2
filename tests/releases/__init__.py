"""Earlier releases, to run beside this one.

``<commit>.tar.xz`` is what ``git archive <commit> src/bookcast | xz -9e`` writes. It is kept here
for checkouts that have no history.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

PREVIOUS = "32eb96d"
"""The release before this one, which announces no format."""


def unpack(commit: str, folder: Path) -> Path:
    """Unpack a release, and return what its ``PYTHONPATH`` has to be."""
    with tarfile.open(Path(__file__).parent / f"{commit}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "src"
