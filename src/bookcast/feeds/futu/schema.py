"""Imports the message classes of ``futu-api`` without the rest of the package.

The package has them in a separate folder. Importing ``futu`` itself takes 0.4 s and 80 MB, starts
threads, opens a log file in the home folder and replaces the SIGINT handler.
"""

from __future__ import annotations

import importlib
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from bookcast.errors import StartupError

PACKAGE: Final = "futu-api"


def require_futu() -> None:
    """Check that the vendor's package is installed, without importing it.

    Raises:
        StartupError: when it isn't.
    """
    if find_spec("futu") is None:
        raise StartupError(
            f"FEED=futu needs the package {PACKAGE}; install it with: pip install {PACKAGE}"
        )


@cache
def messages(name: str) -> Any:
    """Return one of the vendor's generated modules, for instance ``Qot_Sub``. They have no types.

    They import one another by their bare names, and are registered under these. A program that
    imports ``futu`` in the same process must get the same modules.
    """
    spec = find_spec("futu")
    assert spec is not None, f"{PACKAGE} is not installed"
    assert spec.origin is not None
    folder = str(Path(spec.origin).parent / "common" / "pb")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(f"{name}_pb2")
