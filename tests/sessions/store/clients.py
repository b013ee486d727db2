"""Who holds keys in a store, without a connection."""

from __future__ import annotations

from bookcast.hub.view_spec import ViewSpec
from bookcast.protocol.subscriptions import SavedSubscriptions
from bookcast.sessions.lost import LostSession
from tests.support import AAPL

SEEN: SavedSubscriptions = {AAPL: (ViewSpec("", "AAPL"), None)}


class Client:
    """A connected client that sees AAPL."""

    def __init__(self, *keys: str, token: str = "", seen: SavedSubscriptions = SEEN) -> None:
        self.keys = keys
        self.token = token
        self.id = ("", "me")
        self.is_connected = True
        self.topics = seen

    @property
    def subscription_count(self) -> int:
        return len(self.topics)

    def seen(self) -> SavedSubscriptions:
        return self.topics

    def fields(self) -> dict[str, object]:
        return {"client_id": "me"}

    def leaves(self) -> LostSession:
        """Return what it leaves behind."""
        self.is_connected = False
        return LostSession(self.keys, self.topics, token=self.token)
