"""Runs targets under atheris: ``python -m tests.fuzz.guided FOLDER NAME... -runs=…``.

``FOLDER/NAME`` has what each begins with, and gets what it fails on in ``FOLDER/NAME-found``.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore] # not on every platform, without types

with atheris.instrument_imports(include=["bookcast", "proxyprotocol"]):
    from tests.fuzz import targets


def main() -> None:
    """Look for inputs that targets don't take. Each has a process, made when all is imported."""
    logging.disable()
    folder, *words = sys.argv[1:]
    options = [word for word in words if word.startswith("-")]
    for name in (word for word in words if not word.startswith("-")):
        if (child := os.fork()) == 0:
            corpus = Path(folder, name)
            artifacts = f"-artifact_prefix={corpus}-found/"
            atheris.Setup([name, *options, artifacts, str(corpus)], targets.TARGETS[name])
            atheris.Fuzz()
        _, status = os.waitpid(child, 0)
        if status:
            sys.exit(f"{name} ended with {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
