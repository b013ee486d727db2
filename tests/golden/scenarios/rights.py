"""Who may see what, and how that changes while they see it."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.auth.keyring import SECRET, sign
from tests.golden.scenarios.base import book, scenario, trade
from tests.golden.world import World

KEYS = """
[keys.reader]
sha256 = "{digest}"
scope = "read"
symbols = {symbols}
{more}
"""


def _key_file(world: World, symbols: str, more: str = "") -> str:
    path = world.folder / "keys.toml"
    digest = hashlib.sha256(b"the key").hexdigest()
    path.write_text(KEYS.format(digest=digest, symbols=symbols, more=more))
    return str(path)


@scenario
async def rights_narrowed_by_the_file(world: World) -> None:
    """The rights of a key lose a topic, then depth and interval, then all, in mid-session."""
    settings: dict[str, Any] = {"auth_mode": "keys", "publish_allow": ("127.0.0.0/8",)}
    path = _key_file(world, '["AAPL", "TSLA"]')
    node = await world.node(auth_api_keys_file=path, **settings)
    bearer = "Authorization: Bearer the key"
    a, b = await world.join("a", node, bearer), await world.join("b", node, bearer, v1=False)
    await a.say("subscribe", symbols=["AAPL", "TSLA", "MSFT"], mode="delta", id=1)
    await a.say("subscribe", symbol="TSLA", channel="trades")
    for symbol in ("AAPL", "TSLA", "MSFT"):
        await b.say("subscribe", symbol=symbol)
    await node.publish("AAPL", book(1, 4))
    await node.publish("TSLA", book(1, 4))
    for symbols, more in (
        ('["AAPL"]', ""),
        ('["AAPL"]', "max_depth = 1\nmin_interval_ms = 500"),
        ('["MSFT"]', ""),
        ('["AAPL", "TSLA"]', ""),
    ):
        world.say(f"the key's rights: symbols = {symbols} {more}".replace("\n", " ").rstrip())
        _key_file(world, symbols, more)
        await node.server.renew(world.settings(auth_api_keys_file=path, **settings))
        await world.settle()
        for number in (2, 3):
            await node.publish("AAPL", book(number, 4))
            await node.publish("TSLA", book(number, 4))
        await node.publish("TSLA", trade(1), "trades")
        await world.wait(1)
    await a.say("list")
    await a.say("subscribe", symbol="TSLA")
    await a.vanish()
    a2 = await world.join("a2", node, bearer)
    _key_file(world, '["AAPL"]')
    world.say("the key's rights lose TSLA while nobody is connected")
    await node.server.renew(world.settings(auth_api_keys_file=path, **settings))
    await a2.say("resume", session=a.session)
    (world.folder / "keys.toml").write_text("[keys]\n")
    world.say("the key is gone")
    await node.server.renew(world.settings(auth_api_keys_file=path, **settings))
    await world.settle()


@scenario
async def rights_narrowed_by_a_token(world: World) -> None:
    """Clients show tokens with fewer rights; what isn't covered ends, the rest is narrowed."""
    node = await world.node(
        auth_mode="jwt",
        auth_jwt_secret=SECRET,
        auth_timeout=5,
        publish_allow=("127.0.0.0/8",),
    )
    a, b = await world.join("a", node), await world.join("b", node, v1=False)
    await a.say("subscribe", symbol="AAPL", id="early")
    tokens = [
        sign(exp=..., scope="read", bookcast={"symbols": ["AAPL", "TSLA"]}),
        sign(exp=..., scope="read", bookcast={"symbols": ["TSLA"], "max_depth": 2}),
        sign(exp=..., sub="bob", scope="read"),
        "not a token",
    ]
    for number, token in enumerate(tokens):
        for one in (a, b):
            await one.say("authenticate", token=token)
            if number == 0:
                await one.say("subscribe", symbol="AAPL")
                await one.say("subscribe", symbol="TSLA")
        await node.publish("AAPL", book(number + 1, 4))
        await node.publish("TSLA", book(number + 1, 4))
    late = await world.join("late", node)
    await world.wait(6)
    await late.say("ping")
    bad = await world.join("bad", node, v1=False)
    await bad.say("authenticate", token="nonsense")
