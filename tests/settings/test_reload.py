import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from bookcast.errors import SettingError
from bookcast.settings import Loaded, Settings, load
from bookcast.settings.reload import Rotation, RotationTimes, signatures, watched
from tests.support import eventually

SECRET = "a secret of more than thirty-two bytes"
KEYS = '[keys.a]\nsha256 = "{}"\n'.format("a" * 64)


QUICKER = RotationTimes(look_seconds=0.02, retry_seconds=0.1)


class World:
    """Settings in a folder, and what a server takes over of them."""

    def __init__(self, folder: Path, environ: dict[str, str] | None = None, **flags: str) -> None:
        self.env_file = folder / ".env"
        self.secret = folder / "secret"
        self.keys = folder / "keys.toml"
        self.secret.write_text(SECRET)
        self.keys.write_text(KEYS)
        self.environ = {
            "AUTH_MODE": "jwt",
            "AUTH_JWT_SECRET_FILE": str(self.secret),
            "AUTH_API_KEYS_FILE": str(self.keys),
            **(environ or {}),
        }
        self.flags = flags
        self.taken: list[Settings] = []
        self.fault: Exception | None = None
        self.rotation = Rotation(self.load(), self.load, self.apply, QUICKER)

    def load(self) -> Loaded:
        return load(self.flags, self.environ, self.env_file)

    async def apply(self, settings: Settings) -> None:
        if self.fault is not None:
            raise self.fault
        self.taken.append(settings)

    async def takes(self, count: int) -> None:
        await eventually(lambda: len(self.taken) >= count, "the settings to be taken over")


async def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    """Also when another is moved in its place, or what a link points to changes; and no other."""
    world = World(tmp_path)
    async with world.rotation.running():
        world.secret.write_text(SECRET + "2")
        await world.takes(1)
        assert world.taken[-1].auth_jwt_secret == SECRET + "2"
        (tmp_path / "new").write_text(SECRET + "3")
        (tmp_path / "new").replace(world.secret)
        await world.takes(2)
        target = tmp_path / "..data"
        target.write_text(KEYS)
        world.keys.unlink()
        world.keys.symlink_to(target)
        await world.takes(3)
        (tmp_path / "other").write_text(KEYS + "# more")
        (tmp_path / "other").replace(target)
        await world.takes(4)
        (tmp_path / "unrelated").write_text("x")
        world.env_file.write_text("LOG_LEVEL=debug")
        await asyncio.sleep(0.2)
        assert len(world.taken) == 4


async def test_a_file_is_read_when_it_is_written_to_its_end(tmp_path: Path) -> None:
    """What is half there would be another secret."""
    world = World(tmp_path)
    async with world.rotation.running():
        for length in range(8, 40, 2):
            world.secret.write_text("x" * length)
            await asyncio.sleep(0.015)
        whole = "x" * 38
        await eventually(
            lambda: bool(world.taken) and world.taken[-1].auth_jwt_secret == whole, "the whole"
        )
        assert len(world.taken) < 4  # of 16; this task may have been held up for longer once


async def test_asking_reads_everything_again(tmp_path: Path) -> None:
    """.env too; what takes a restart keeps its value and is told."""
    world = World(tmp_path)
    async with world.rotation.running():
        world.env_file.write_text("LOG_LEVEL=debug\nPING_INTERVAL=3\nMAX_SUBSCRIPTIONS=7\n")
        world.rotation.ask()
        await world.takes(1)
    assert world.taken[0].log_level == "debug"
    assert world.taken[0].ping_interval == 20
    assert world.rotation.state.restart_for == ["PING_INTERVAL", "MAX_SUBSCRIPTIONS"]
    assert world.rotation.state.detail is None


def test_what_stands_in_the_environment_or_a_flag_is_told_as_fixed(tmp_path: Path) -> None:
    """Of the settings that may change; a file that they name isn't."""
    given = {"AUTH_JWT_SECRET_FILE": "", "AUTH_JWT_SECRET": SECRET}
    world = World(tmp_path, given, log_level="info")
    assert world.rotation.state.fixed == ["AUTH_JWT_SECRET", "LOG_LEVEL"]
    assert watched(world.load()) == [str(world.keys)]
    assert World(tmp_path).rotation.state.fixed == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("secret", "", "is empty"),
        ("secret", None, "can't be read"),
        (".env", "LOG_LEVEL=loud", "LOG_LEVEL is 'loud'"),
        (".env", b"LOG_LEVEL=\xff", "can't be read"),
        (".env", "AUTH_MODE=keys\nTRUSTED_PROXIES=nonsense", "TRUSTED_PROXIES"),
    ],
)
async def test_what_is_wrong_changes_nothing_and_is_told(
    tmp_path: Path, name: str, text: str | bytes | None, words: str
) -> None:
    """Until it is right again, which needs no other signal."""
    world = World(tmp_path)
    path = tmp_path / name
    async with world.rotation.running():
        if text is None:
            path.unlink()
        else:
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        world.rotation.ask()
        await eventually(lambda: world.rotation.state.detail is not None, "the refusal")
        assert words in str(world.rotation.state.detail)
        assert world.taken == []
        path.write_text(SECRET + "2" if name == "secret" else "")
        await world.takes(1)
        await eventually(lambda: world.rotation.state.detail is None, "all to be well")


async def test_settings_that_would_not_go_together_with_the_running_ones_are_refused(
    tmp_path: Path,
) -> None:
    """AUTH_MODE takes a restart, so its secret can't go before that."""
    world = World(tmp_path, {"AUTH_MODE": "", "AUTH_JWT_SECRET_FILE": ""})
    world.env_file.write_text(f"AUTH_MODE=jwt\nAUTH_JWT_SECRET={SECRET}\n")
    world = World(tmp_path, {"AUTH_MODE": "", "AUTH_JWT_SECRET_FILE": ""})
    world.env_file.write_text("AUTH_MODE=none\n")
    await world.rotation.reload()
    assert "nothing says what tokens are checked with" in str(world.rotation.state.detail)
    assert world.taken == []


@pytest.mark.parametrize("fault", [SettingError("Redis refuses the password"), ZeroDivisionError()])
async def test_what_the_server_refuses_is_tried_again(
    tmp_path: Path, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """And the log has it once."""
    world = World(tmp_path)
    async with world.rotation.running():
        world.fault = fault
        world.rotation.ask()
        await eventually(lambda: world.rotation.state.detail is not None, "the refusal")
        await asyncio.sleep(0.3)
        world.fault = None
        await world.takes(1)
    refused = [one for one in caplog.records if "can't be used" in one.message]
    assert len(refused) == 1


def test_a_failed_attempt_is_made_again_at_a_later_look() -> None:
    """Looks are when it is noticed that its time has come."""
    with pytest.raises(ValueError, match=r"retry_seconds .* longer than .* look_seconds"):
        RotationTimes(look_seconds=2.0)


def test_a_signature_tells_of_every_change(tmp_path: Path) -> None:
    """Of content, and of a file that comes or goes."""
    path = tmp_path / "file"
    seen: list[Any] = signatures([str(path)])
    for change in (
        lambda: path.write_text("a"),
        lambda: path.write_text("ab"),
        lambda: os.utime(path, ns=(1, 1)),
        path.unlink,
    ):
        change()
        seen += signatures([str(path)])
    assert len(set(seen)) == 4
    assert seen[0] is seen[-1] is None
