from bookcast.backplane.link import LinkSettings
from bookcast.counts import ENGINE_NUMBERS, numbers_of
from bookcast.engine.memory import MemoryEngine
from bookcast.engine.peers import Node
from bookcast.engine.redis import RedisEngine, RedisRules
from tests.sessions.world import SessionWorld


def test_what_clients_do_is_counted() -> None:
    """Every number can be read at any time."""
    world = SessionWorld()
    world.enter("me", "AAPL")
    numbers = {one.name: one for one in numbers_of(world.hub, world.registry, world.engine)}
    assert numbers["connections"].read() == 1
    assert numbers["subscriptions"].read() == 1
    assert all(number.read() >= 0 for number in numbers.values())
    assert not any(name.startswith("engine_") for name in numbers)


def test_what_redis_does_is_counted_where_there_is_one() -> None:
    """Every number that the engine gives has its words."""
    engine = RedisEngine(
        LinkSettings("redis://127.0.0.1:1"),
        myself=lambda: Node("me", "us"),
        rules=RedisRules(),
    )
    world = SessionWorld()
    names = {one.name for one in numbers_of(world.hub, world.registry, engine)}
    assert {f"engine_{name}" for name in ENGINE_NUMBERS} <= names
    assert set(engine.numbers()) == set(ENGINE_NUMBERS)
    assert MemoryEngine().numbers() == {}
