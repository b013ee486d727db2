"""What a client leaves behind when its connection is lost: a value, kept until it comes back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from bookcast.engine.interests import Interest
from bookcast.model.topics import Topic
from bookcast.protocol.subscriptions import SavedSubscriptions


class LostSession:
    """A session whose client is gone, and may come back.

    Args:
        keys: what it is found by, see :meth:`SessionStore.key`.
        seen: each topic that the client saw, how, and how far the client has received it.
        interests: keep those topics wanted on this node.
        token: of the connection that was lost; empty for a base client.
        address: where the client connected from.
        fields: what a line of the log says of the client.
    """

    __slots__ = ("_interests", "address", "keys", "log_fields", "seen_topics", "token")

    is_connected = False

    def __init__(
        self,
        keys: tuple[str, ...],
        seen: SavedSubscriptions,
        interests: Iterable[Interest] = (),
        *,
        token: str = "",
        address: str = "",
        fields: dict[str, object] | None = None,
    ) -> None:
        self.keys = keys
        self.seen_topics = seen
        self.token = token
        self.address = address
        self.log_fields = fields or {}
        self._interests: Sequence[Interest] = tuple(interests)

    @property
    def id(self) -> tuple[str, str]:
        """It is found by its keys alone."""
        return ("", "")

    @property
    def subscription_count(self) -> int:
        """How many topics the client saw."""
        return len(self.seen_topics)

    def seen(self) -> SavedSubscriptions:
        """Return each topic that the client saw, how, and how far the client has received it."""
        return self.seen_topics

    def fields(self) -> dict[str, object]:
        """Return what a line of the log says of the client."""
        return self.log_fields

    def joined(self, later: LostSession, declined: Collection[Topic]) -> LostSession:
        """Return this and what a later connection of the same client left, as one.

        ``declined``: what that one wished no more of this.
        """
        seen = {topic: how for topic, how in self.seen_topics.items() if topic not in declined}
        interests = [*self._interests, *later._interests]
        for one in interests:
            if one.log.topic in declined and one.log.topic not in later.seen_topics:
                one.close()
        return LostSession(
            later.keys,
            {**seen, **later.seen_topics},
            interests,
            address=later.address,
            fields=later.log_fields,
        )

    def close(self) -> None:
        """Want its topics no more. Whoever goes on with them has opened its own interests."""
        for interest in self._interests:
            interest.close()
        self._interests = ()
