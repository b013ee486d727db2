"""What one server counts, for Prometheus."""

from __future__ import annotations

from functools import partial
from typing import Final, Literal

from bookcast import logs
from bookcast.engine.base import Engine
from bookcast.hub.hub import Hub
from bookcast.metrics import Number
from bookcast.sessions.registry import Registry

ENGINE_NUMBERS: Final[dict[str, tuple[Literal["gauge", "counter"], str]]] = {
    "away": ("gauge", "1 while Redis is away"),
    "outages": ("counter", "How often Redis was away"),
    "calls": ("counter", "Scripts called in Redis"),
    "failures": ("counter", "Of them, those that failed"),
    "connections": ("gauge", "Connections to Redis for commands"),
    "subscriptions_lost": ("counter", "How often the subscription at Redis was lost"),
    "repaired": ("counter", "How often something that Redis told was missing, and read again"),
    "given_back": ("counter", "States that Redis had lost, and was told again"),
    "unreadable": ("counter", "What other nodes wrote and this one couldn't read"),
    "record_format": ("gauge", "The format that records are written in, which all nodes read"),
    "topics_followed": ("gauge", "Topics that this node follows in Redis"),
}


def numbers_of(hub: Hub, registry: Registry, engine: Engine) -> list[Number]:
    """List what is counted: of the clients, of what they are sent, and of the engine."""
    return [
        Number("connections", "gauge", "Clients connected", lambda: len(registry)),
        Number(
            "subscriptions",
            "gauge",
            "Subscriptions of all clients",
            registry.subscription_count,
        ),
        Number(
            "connections_held",
            "gauge",
            "Clients that can't take data now",
            lambda: len(registry.held()),
        ),
        Number(
            "connections_too_slow",
            "counter",
            "Clients closed because they took no data",
            lambda: registry.too_slow,
        ),
        Number("connections_accepted", "counter", "Handshakes accepted", lambda: registry.accepted),
        Number("handshakes_refused", "counter", "Handshakes refused", lambda: registry.refused),
        Number("messages_received", "counter", "Messages of clients", lambda: registry.received),
        Number("sessions_parked", "gauge", "Sessions that wait", lambda: registry.ownership.lost),
        Number(
            "sessions_resumed",
            "counter",
            "Sessions that a client came back to",
            lambda: registry.ownership.resumed,
        ),
        Number(
            "sessions_expired",
            "counter",
            "Sessions that nobody came back to",
            lambda: registry.ownership.expired,
        ),
        Number(
            "duplicate_client_ids",
            "counter",
            "Clients that came under the id of another who was there",
            lambda: registry.ownership.duplicates,
        ),
        Number("messages_delivered", "counter", "Updates sent", lambda: hub.delivered),
        Number(
            "messages_conflated",
            "counter",
            "Updates that a newer one replaced before a client could take them",
            lambda: hub.conflated,
        ),
        Number(
            "messages_gapped",
            "counter",
            "Updates that clients were told are lost",
            lambda: hub.gapped,
        ),
        Number(
            "log_lines_dropped",
            "counter",
            "Lines of the log that found no room, since nobody read it",
            logs.lines_dropped,
        ),
    ] + [
        Number(f"engine_{name}", kind, help_, partial(_engine_number, engine, name))
        for name, (kind, help_) in ENGINE_NUMBERS.items()
        if name in engine.numbers()
    ]


def _engine_number(engine: Engine, name: str) -> float:
    return engine.numbers()[name]
