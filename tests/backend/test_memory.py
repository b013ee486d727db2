"""What a single node stands on."""

from bookcast.backend.memory import MemoryBackend
from bookcast.cluster.members.base import Node
from bookcast.model.topic_log import LogRules


async def test_it_is_there_from_the_beginning() -> None:
    """Nothing of it can be away, or has to be told anything."""
    backend = MemoryBackend(myself=lambda: Node("me", "us"), rules=LogRules(5))
    backend.attach(away=lambda: None)
    assert backend.is_reached
    await backend.start()
    await backend.renew("redis://elsewhere")
    assert backend.engine.status().state == "connected"
    assert backend.cluster.members.id == "me"
    await backend.stop()
    await backend.stop()
