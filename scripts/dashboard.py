"""Build the example dashboard in React, examples/react-dashboard, with the client's own tools.

python -m scripts.dashboard FOLDER        writes its files there
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
EXAMPLE: Final = ROOT / "examples" / "react-dashboard"
CLIENT: Final = ROOT / "clients" / "typescript"


def build(folder: Path) -> None:
    """Write the page and its assets to a folder."""
    vite = CLIENT / "node_modules" / ".bin" / "vite"
    subprocess.run(  # noqa: S603 # our own tool, on our own files
        [vite, "build", EXAMPLE, "--outDir", folder, "--emptyOutDir", "--logLevel", "error"],
        cwd=CLIENT,
        check=True,
    )


if __name__ == "__main__":
    build(Path(sys.argv[1]).absolute())
