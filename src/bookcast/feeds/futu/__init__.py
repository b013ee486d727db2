"""Market data from Futu OpenD (moomoo OpenD), driven by what somebody wants."""

from bookcast.feeds.futu.configured import futu_feed

__all__ = ["futu_feed"]
