"""Makes the configured feed."""

from __future__ import annotations

from bookcast.feeds.base import Feed, Publish
from bookcast.feeds.custom import custom_feed
from bookcast.feeds.simulator import Simulator
from bookcast.settings import Settings


def feeds_of(settings: Settings, publish: Publish) -> list[Feed]:
    """Return the feed that the settings name; an empty list for ``none``.

    Raises:
        StartupError: when the feed can't run here.
    """
    match settings.feed:
        case "simulator":
            return [
                Simulator(
                    publish,
                    symbols=settings.simulator_symbols,
                    rate=settings.simulator_rate,
                    seed=settings.simulator_seed,
                    depth=settings.simulator_depth,
                    default_market=settings.default_market,
                )
            ]
        case "futu" | "moomoo":
            # Imported here: it needs the futu extra.
            from bookcast.feeds.futu import futu_feed  # noqa: PLC0415 - an extra

            return [futu_feed(publish, settings)]
        case "custom":
            return [custom_feed(publish, settings.feed_factory or "", settings.feed_options)]
        case "none":
            return []
