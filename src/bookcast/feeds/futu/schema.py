"""The message classes that Futu publishes, imported without the rest of its package.

``futu-api`` brings them in a folder of their own. Importing ``futu`` itself would take 0.4 s and
80 MB, start threads, open a log below the home folder and take SIGINT away from the program.
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
    """Import one of the vendor's generated modules, for instance ``Qot_Sub``. They have no types.

    They import one another by their bare names, and register as such: whoever imports ``futu`` in
    the same process has to meet the same modules.
    """
    spec = find_spec("futu")
    assert spec is not None, f"{PACKAGE} is not installed"
    assert spec.origin is not None
    folder = str(Path(spec.origin).parent / "common" / "pb")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(f"{name}_pb2")
