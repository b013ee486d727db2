import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import PATIENCE, ROOT


@pytest.fixture(scope="session")
def handed_over(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the unmodified futu-api on messages, in a process of its own."""
    home: Path = tmp_path_factory.mktemp("home")
    done = subprocess.run(
        [sys.executable, "-m", "tests.ingest.futu_api.handover"],
        capture_output=True,
        text=True,
        timeout=PATIENCE * 5,
        check=True,
        cwd=ROOT,
        env=os.environ | {"HOME": str(home)},
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told
