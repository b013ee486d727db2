"""The feed from Futu's or moomoo's OpenD. It subscribes the topics that are wanted."""

from bookcast.feeds.futu.factory import futu_feed

__all__ = ["futu_feed"]
