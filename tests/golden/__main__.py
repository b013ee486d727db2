"""Record the scenarios: ``python -m tests.golden --renew``, or ``--into FOLDER`` to compare."""

from __future__ import annotations

import sys

from tests.golden import clock

if __name__ == "__main__":
    clock.install()
    # Only now: bookcast, which this imports, takes along whatever the clock is.
    from tests.golden.record import main

    sys.exit(main(sys.argv[1:]))
