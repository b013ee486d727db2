"""Sessions that another node may go on with, kept in Redis under their owner's generation."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from bookcast.backplane.link import Link

LIVE_SECONDS: Final = 60.0
"""What of a connected client's session isn't touched for so long is given up: its node is dead."""


class Claim(NamedTuple):
    """What came of a claim.

    Attributes:
        kind: ``none``: there is no such session; ``mine``: this node has it; ``live``: its client
            is connected at the ``owner``; ``taken``: it was the ``owner``'s and is this node's.
        generation: of the session, where it is this node's.
        owner: a node.
        data: what was saved, where it is this node's.
    """

    kind: Literal["none", "mine", "live", "taken"]
    generation: int
    owner: str
    data: bytes


class Shelf:
    """Keeps sessions by what they are found by, see :meth:`key`.

    A session has a generation, which grows each time another node takes it: what its earlier owner
    still saves or ends then is refused. Everything raises EngineAwayError when it can't be done.
    """

    def __init__(self, link: Link, node: str, ttl: float) -> None:
        self._link = link
        self._node = node
        self._ttl = ttl

    @property
    def is_away(self) -> bool:
        """Whether Redis is, so that nothing can be done."""
        return self._link.is_away

    def key(self, *parts: str) -> str:
        """Give the key of what is found by these."""
        return self._link.keys.session(*parts)

    async def save(self, key: str, generation: int, data: bytes, *, live: bool) -> int:
        """Save a session; 0 for one that is new.

        Returns:
            Its generation, 0 when another node has it.
        """
        return int(
            await self._link.call(
                "session_save",
                [key],
                [self._node, generation, int(live), self._keep_ms(live=live), data],
                again=True,
            )
        )

    async def touch(self, key: str, generation: int) -> bool:
        """Keep the session of a connected client for longer; False: another node has it."""
        return bool(
            await self._link.call(
                "session_touch", [key], [self._node, generation, self._keep_ms(live=True)]
            )
        )

    async def end(self, key: str, generation: int) -> None:
        """Forget a session."""
        await self._link.call("session_end", [key], [self._node, generation])

    async def claim(self, key: str, *, force: bool = False) -> Claim:
        """Take a session over; ``force``: also when its client is connected elsewhere."""
        kind, generation, owner, data = await self._link.call(
            "session_claim", [key], [self._node, int(force)], again=True
        )
        return Claim(kind.decode(), int(generation), owner.decode(), data)

    def _keep_ms(self, *, live: bool) -> int:
        return round((self._ttl + (LIVE_SECONDS if live else 0)) * 1000)
