"""Decoders of foreign bytes accept or refuse their input; no other outcome is possible."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.budget import examples, seconds
from tests.fuzz.targets import SEEDS, TARGETS, receive_v1
from tests.support import ROOT

RUNS = examples(120_000)
SECONDS = seconds(4)
"""What atheris may take for one target, whichever ends first."""


def test_every_target_has_seeds() -> None:
    """A fuzzer that knows no valid input finds little."""
    assert set(SEEDS) == set(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_valid_and_damaged_input_is_taken_or_refused(name: str) -> None:
    """Seeds with a few changes, and bytes of any kind."""
    target = TARGETS[name]

    @settings(max_examples=examples(150), deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.binary(max_size=300),
        st.sampled_from(SEEDS[name]),
        st.lists(st.tuples(st.integers(0, 400), st.integers(0, 4), st.binary(max_size=8))),
    )
    def holds(noise: bytes, seed: bytes, changes: list[tuple[int, int, bytes]]) -> None:
        target(noise)
        for place, removed, added in changes[:4]:
            seed = seed[:place] + added + seed[place + removed :]
        target(seed)

    for seed in SEEDS[name]:
        target(seed)
    holds()


if find_spec("atheris"):

    @pytest.mark.timeout(len(TARGETS) * SECONDS * 4)
    def test_input_that_coverage_leads_to_is_taken_or_refused(tmp_path: Path) -> None:
        """Each new branch is built upon, for a bounded number of runs."""
        for name, seeds in SEEDS.items():
            (tmp_path / name).mkdir()
            (tmp_path / f"{name}-found").mkdir()
            for number, seed in enumerate(seeds):
                (tmp_path / name / str(number)).write_bytes(seed)
        child = subprocess.run(
            [
                *(sys.executable, "-m", "tests.fuzz.guided", str(tmp_path), *TARGETS),
                *(f"-runs={RUNS}", f"-max_total_time={SECONDS}", "-seed=1", "-max_len=4096"),
                *("-timeout=5", "-rss_limit_mb=1024"),
            ],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        inputs = {path.parent.name: path.read_bytes() for path in tmp_path.glob("*-found/*")}
        log = child.stderr.decode(errors="replace") + child.stdout.decode(errors="replace")
        assert not inputs, f"{inputs}:\n{log[-4000:]}"
        assert child.returncode == 0, log[-4000:]


@pytest.mark.parametrize(
    "message",
    [
        b'{"%s":[%s1],"x":NaN}' % (b"k" * 30_000, b"1," * 15_000),
        b'{"a":' * 900 + b"NaN" + b"}" * 900,
        b"[" * 60_000,
        b'{"action":' * 6_000,
        b'{"action":"ping","id":%s}' % (b"9" * 60_000),
        b'{"action":"subscribe","symbols":[%s"A"]}' % (b'"A",' * 15_000),
    ],
    ids=["long path", "deep NaN", "deep lists", "deep objects", "huge number", "many symbols"],
)
def test_refusing_a_message_costs_a_few_times_its_length(message: bytes) -> None:
    """However it is made, a message of the usual bound takes no hundreds of megabytes."""
    receive_v1(message)
    tracemalloc.start()
    try:
        receive_v1(message)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000
