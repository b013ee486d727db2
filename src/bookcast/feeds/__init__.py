"""Feeds: sources of market data. A feed publishes to the engine, and knows nothing behind it."""
