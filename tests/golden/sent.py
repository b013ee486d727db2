"""What the golden files say that clients were sent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FILES: Final = Path(__file__).parent / "files"


def messages_of_v1() -> Iterator[str]:
    """Return each text message to a client of ``bookcast.v1``, as JSON."""
    for path in sorted(FILES.glob("*.txt")):
        text = path.read_text()
        clients = re.findall(r"^(\S+) HTTP/1.1 101 .*: bookcast\.v1$", text, re.MULTILINE)
        for client in clients:
            yield from re.findall(rf"^{client} (\{{.*\}})$", text, re.MULTILINE)
