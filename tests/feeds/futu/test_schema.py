import os
import subprocess
import sys
from pathlib import Path

import pytest

from bookcast.errors import StartupError
from bookcast.feeds.futu import schema
from bookcast.feeds.futu.schema import messages
from tests.support import PATIENCE

NAMES = ["Common", "Notify", "InitConnect", "Qot_Common", "Qot_Sub", "Qot_UpdateOrderBook"]


def python(code: str, **environ: str) -> str:
    """Run a program where nothing is imported yet, and give what it wrote."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
        env=os.environ | environ,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", NAMES)
def test_messages_are_found_by_their_name(name: str) -> None:
    """The same each time."""
    assert messages(name).DESCRIPTOR.name == f"{name}.proto"
    assert messages(name) is messages(name)


def test_the_vendors_package_itself_is_not_imported() -> None:
    """Nor the large ones it brings, and SIGINT stays the program's."""
    code = (
        "import signal, sys\n"
        "before = signal.getsignal(signal.SIGINT)\n"
        "from bookcast.feeds.futu.schema import messages, require_futu\n"
        "require_futu()\n"
        "messages('Qot_Sub'); messages('Qot_UpdateKL')\n"
        "assert signal.getsignal(signal.SIGINT) is before\n"
        "print(sorted({'futu', 'pandas', 'numpy', 'Crypto'} & set(sys.modules)))"
    )
    assert python(code) == "[]"


def test_the_vendors_package_meets_the_same_messages(tmp_path: Path) -> None:
    """A program may import the package in the same process afterwards."""
    code = (
        "import sys, threading, warnings\n"
        "from bookcast.feeds.futu.schema import messages\n"
        "ours = messages('Qot_Sub')\n"
        "warnings.simplefilter('ignore')\n"
        "worker = threading.Thread(target=lambda: __import__('futu'))\n"
        "worker.start(); worker.join()\n"
        "assert 'futu' in sys.modules\n"
        "print(sys.modules['Qot_Sub_pb2'] is ours is messages('Qot_Sub'))\n"
    )
    assert python(code, HOME=str(tmp_path)) == "True"


def test_a_missing_package_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setattr(schema, "find_spec", lambda _name: None)
    with pytest.raises(StartupError, match=r"pip install futu-api$"):
        schema.require_futu()


def test_an_installed_package_is_enough() -> None:
    """Nothing is logged then."""
    schema.require_futu()
