"""The backend of a single node."""

from bookcast.backend.memory import MemoryBackend
from bookcast.cluster.members.base import Node
from bookcast.model.topic_log import LogRules


async def test_it_is_there_from_the_beginning() -> None:
    """No part of it can be unreachable or needs a notification."""
    backend = MemoryBackend(myself=lambda: Node("me", "us"), rules=LogRules(5))
    backend.attach(away=lambda: None)
    assert backend.is_reached
    await backend.start()
    await backend.renew("redis://elsewhere")
    assert backend.engine.status().state == "connected"
    assert backend.cluster.members.id == "me"
    await backend.stop()
    await backend.stop()
