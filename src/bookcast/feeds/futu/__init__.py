"""Order books from Futu OpenD through the vendor's own package, which is imported only in use."""

from bookcast.feeds.futu.client import FutuFeed
from bookcast.feeds.futu.vendor import require_futu

__all__ = ["FutuFeed", "require_futu"]
