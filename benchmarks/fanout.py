"""What a delivered frame costs, and an idle connection, beside a plain C loop of send().

    python benchmarks/fanout.py [--clients 500] [--rate 100] [--seconds 5] [--runs 3] [--idle 4000]

Books of about 1 KB are published over HTTP to all clients of one symbol. The server has one core to
itself; publisher and clients share the other. CPU is the process's own, user and system.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
SERVER_CORE, LOAD_CORE = 0, max(os.sched_getaffinity(0))


def book(number: int) -> bytes:
    """Make a book of about 1 KB, different each time and of the same length."""
    levels = [
        [
            {
                "price": round(189.5 + side * (i + 1) / 100, 2),
                "volume": 10_000 + number % 1000,
                "orders": 7,
            }
            for i in range(10)
        ]
        for side in (-1, 1)
    ]
    return json.dumps(
        {"bids": levels[0], "asks": levels[1], "timestamp": "2026-01-01T00:00:00.000Z"},
        separators=(",", ":"),
    ).encode()


def compile_c(name: str, folder: Path) -> str:
    """Compile one of the C programs beside this file."""
    target = folder / name
    subprocess.run(["cc", "-O2", "-o", target, HERE / f"{name}.c"], check=True)
    return str(target)


def cpu_seconds(pid: int) -> float:
    """Read the CPU time a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_kb(pid: int) -> int:
    """Read the memory a process holds."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def start_server(*flags: str) -> tuple[subprocess.Popen[str], int]:
    """Start a server on a free port, alone on its core."""
    server = subprocess.Popen(
        [
            "taskset",
            "-c",
            str(SERVER_CORE),
            sys.executable,
            "-m",
            "bookcast",
            "serve",
            "--port",
            "0",
            *flags,
        ],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "LOG_LEVEL": "info"},
    )
    for line in server.stderr:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
            # Whoever connects writes a line; nobody must wait for a full pipe.
            subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
            return server, int(found[1])
    raise SystemExit("the server did not start")


def start_sink(sink: str, port: int, clients: int, *more: str) -> subprocess.Popen[str]:
    """Connect the clients, and wait until all are subscribed."""
    process = subprocess.Popen(
        ["taskset", "-c", str(LOAD_CORE), sink, str(port), str(clients), "AAPL", *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


def fan_out(sink: str, clients: int, rate: int, seconds: int) -> dict[str, float]:
    """Publish at a steady rate to all clients; give the cost of a frame and what was lost."""
    server, port = start_server()
    try:
        receivers = start_sink(sink, port, clients)
        os.sched_setaffinity(0, {LOAD_CORE})
        connection = http.client.HTTPConnection("127.0.0.1", port)
        before, begun = cpu_seconds(server.pid), time.monotonic()
        for number in range(rate * seconds):
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
            connection.request(
                "POST",
                "/broadcast/orderbook?symbol=AAPL",
                book(number),
                {"Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            assert answer.read() and answer.status == 200
        time.sleep(0.5)
        used = cpu_seconds(server.pid) - before
        counted = json.loads(receivers.communicate()[0])
    finally:
        server.terminate()
        server.wait(5)
    expected = clients * (rate * seconds + 1)  # and the confirmation
    frame = counted["bytes"] / counted["frames"]
    return {
        "us_per_frame": used / (clients * rate * seconds) * 1e6,
        "lost": expected - counted["frames"],
        "frame_bytes": frame,
    }


def floor(program: str, sink: str, clients: int, size: int, rate: int, seconds: int) -> float:
    """Give the cost of a frame of a plain C loop, in microseconds."""
    sender = subprocess.Popen(
        [
            "taskset",
            "-c",
            str(SERVER_CORE),
            program,
            str(clients),
            str(size),
            str(rate),
            str(seconds),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    receivers = start_sink(sink, int(sender.stdout.readline()), clients, "raw")
    result = json.loads(sender.stdout.readline())
    receivers.communicate()
    sender.wait()
    return result["cpu"] / result["sent"] * 1e6


def idle(sink: str, clients: int) -> float:
    """Give the memory of an idle, subscribed connection, in KB."""
    server, port = start_server()
    try:
        warm = start_sink(sink, port, 100)
        warm.communicate()
        time.sleep(0.5)
        before = rss_kb(server.pid)
        receivers = start_sink(sink, port, clients)
        time.sleep(1)
        after = rss_kb(server.pid)
        receivers.communicate()
    finally:
        server.terminate()
        server.wait(5)
    return (after - before) / clients


def main() -> None:
    """Run everything, and print medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for name, default in (
        ("clients", 500),
        ("rate", 100),
        ("seconds", 5),
        ("runs", 3),
        ("idle", 4000),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    if shutil.which("cc") is None or shutil.which("taskset") is None:
        raise SystemExit("this needs a C compiler (cc) and taskset")
    with tempfile.TemporaryDirectory() as folder:
        sink, sender = (compile_c(name, Path(folder)) for name in ("sink", "floor"))
        rows = []
        for run in range(options.runs):
            ours = fan_out(sink, options.clients, options.rate, options.seconds)
            plain = floor(
                sender,
                sink,
                options.clients,
                round(ours["frame_bytes"]),
                options.rate,
                options.seconds,
            )
            rows.append((ours["us_per_frame"], plain, ours["us_per_frame"] / plain, ours["lost"]))
            print(
                f"run {run + 1}: {rows[-1][0]:.2f} us a frame, plain C {plain:.2f} us, "
                f"ratio {rows[-1][2]:.2f}, lost {rows[-1][3]}"
            )
        ratio = statistics.median(row[2] for row in rows)
        print(
            f"fan-out to {options.clients} clients, {options.rate} books/s of {ours['frame_bytes']:.0f} bytes: "
            f"median ratio to plain C {ratio:.2f}, lost {sum(row[3] for row in rows)}"
        )
        print(
            f"idle subscribed connection ({options.idle}): "
            f"{statistics.median(idle(sink, options.idle) for _ in range(options.runs)):.1f} KB"
        )


if __name__ == "__main__":
    main()
