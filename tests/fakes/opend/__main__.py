"""The command line of the simulated OpenD."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from pathlib import Path

from tests.fakes import opend as package
from tests.fakes.opend.commands import Commands
from tests.fakes.opend.market import Market
from tests.fakes.opend.server import OpenD


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fakes.opend",
        description=package.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--port", type=int, default=11111, help="0 picks a free one (default: %(default)s)")
    add("--rate", type=float, default=0, help="moves a second of everything that is subscribed")
    add("--min-seconds", type=float, default=60, help="before unsubscribing (default: %(default)s)")
    add("--quota", type=int, default=300, help="codes times kinds of data (default: %(default)s)")
    add("--option-quota", type=int, default=60, help="chains of options times kinds of data")
    add("--rsa-key", type=Path, metavar="FILE", help="let in only clients that encrypt with it")
    add("--refuse", action="append", default=[], metavar="CODE", help="refuse to subscribe this")
    add("--control", action="store_true", help="take commands on standard input")
    options = parser.parse_args()
    if options.rsa_key and not options.rsa_key.is_file():
        parser.error(f"there is no file {options.rsa_key}")
    return options


async def run(options: argparse.Namespace) -> None:
    """Serve until standard input ends (with ``--control``) or for ever."""
    opend = OpenD(
        port=options.port,
        min_seconds=options.min_seconds,
        quota=options.quota,
        option_quota=options.option_quota,
        rsa_key_file=options.rsa_key,
    )
    opend.account.refused = dict.fromkeys(options.refuse, "no quote right for this code")
    market = Market(opend, options.rate) if options.rate else None
    await opend.listen()
    print(f"listening on 127.0.0.1:{opend.port}", flush=True)
    moving = asyncio.create_task(market.run()) if market else None
    if options.control:
        await Commands(opend).obey_standard_input()
    else:
        await (moving or asyncio.Event().wait())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run(parse()))
