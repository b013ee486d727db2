"""``python -m bookcast`` is ``bookcast``."""

import sys

from bookcast.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
