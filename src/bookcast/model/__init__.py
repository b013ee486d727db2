"""What travels the path: topics, market data, positions, the log of a topic. Does no I/O."""
