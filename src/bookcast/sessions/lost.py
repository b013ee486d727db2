"""What a client leaves behind when its connection is lost: a value, kept until it comes back.

:mod:`bookcast.sessions.ownership` finds it again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from bookcast.engine.interests import Interest
from bookcast.model.topics import Topic
from bookcast.protocol.subscriptions import SavedSubscriptions


class LostSession:
    """A session whose client is gone, and may come back.

    Args:
        keys: its keys in the session store, see :meth:`SessionStore.key`.
        seen: each topic that the client saw: its view, and the cursor that the client has received.
        interests: keep those topics wanted on this node.
        token: the token of the lost connection; empty for a base client.
        address: where the client connected from.
        fields: the client's fields in log lines.
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
        """Empty: a lost session is found only by its keys."""
        return ("", "")

    @property
    def subscription_count(self) -> int:
        """Number of topics that the client saw."""
        return len(self.seen_topics)

    def seen(self) -> SavedSubscriptions:
        """Return each topic that the client saw: its view, and the cursor that it has received."""
        return self.seen_topics

    def fields(self) -> dict[str, object]:
        """Return the client's fields in log lines."""
        return self.log_fields

    def joined(self, later: LostSession, declined: Collection[Topic]) -> LostSession:
        """Return one session from this one and that of a later connection of the same client.

        ``declined``: topics of this session that the client has unsubscribed from in the later one.
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
        """Close the interests. Whoever resumes the session has opened interests of its own."""
        for interest in self._interests:
            interest.close()
        self._interests = ()
