import os
import threading
from pathlib import Path

import pytest

from bookcast.settings.files import read_bytes


def test_a_file_is_read_each_time(tmp_path: Path) -> None:
    """One that isn't there is an error."""
    path = tmp_path / "secret"
    for content in (b"one", b"two"):
        path.write_bytes(content)
        assert read_bytes(path) == content
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_bytes(path)


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """Nobody is there to write it when settings are read again."""
    path = tmp_path / "secret"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b"one",))
    writer.start()
    assert read_bytes(path) == b"one"
    writer.join()
    assert read_bytes(path) == b"one"
