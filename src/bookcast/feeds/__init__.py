"""Where market data comes from. Each feed publishes to the engine and knows nothing behind it."""
