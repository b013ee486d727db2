"""Runs one target under atheris: ``python -m tests.fuzz.guided NAME -runs=…``."""

from __future__ import annotations

import logging
import sys

import atheris  # type: ignore[import-untyped, import-not-found, unused-ignore]

with atheris.instrument_imports(include=["bookcast", "proxyprotocol"]):
    from tests.fuzz import targets


def main() -> None:
    """Look for an input that a target doesn't take; the fuzzer's own arguments follow its name."""
    logging.disable()
    target = targets.TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
