"""Publishes books of 1 KB with only the engine: python benchmarks/through_redis.py URL SECONDS"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from bookcast.backend.redis import RedisBackend
from bookcast.backplane.link import LinkSettings
from bookcast.cluster.members.base import Node
from bookcast.engine.redis.records import encode
from bookcast.engine.redis.engine import RedisRules
from bookcast.model.market_data import Book, Level
from bookcast.model.topics import Symbol, Topic
from bookcast.model.updates import Publication

SYMBOLS = 100
TOGETHER = 500
PUBLISHERS = 4


async def main(url: str, seconds: float) -> None:
    backend = RedisBackend(
        LinkSettings(url), myself=lambda: Node("bench", "bench"), rules=RedisRules()
    )
    engine = backend.engine
    engine.attach(notice=lambda _: None, wanted=lambda _: None, unwanted=lambda _: None)
    await backend.start()
    levels = [[Level(100 + side + i / 100, 100 + i, 3) for i in range(40)] for side in (0, 1)]
    book = Book(tuple(reversed(levels[0])), tuple(levels[1]))
    topics = [Topic("orderbook", Symbol(f"US.S{number:03}")) for number in range(SYMBOLS)]
    publications = [Publication(topics[i % SYMBOLS], book) for i in range(TOGETHER)]
    done = 0
    end = time.perf_counter() + seconds

    async def publish() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await engine.publish(publications)
            done += TOGETHER

    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(publish() for _ in range(PUBLISHERS)))
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    positions = await engine.publish(publications)
    assert max(position.seq for position in positions) * SYMBOLS == done + TOGETHER
    await backend.stop()
    print(
        json.dumps(
            {
                "updates_s": done / took,
                "us_update": cpu / done * 1e6,
                "bytes": len(encode(publications[0], time.time() * 1000)),
                "server_core": cpu / took * 100,
            }
        )
    )


try:
    import uvloop

    run = uvloop.run
except ImportError:
    run = asyncio.run
run(main(sys.argv[1], float(sys.argv[2])))
