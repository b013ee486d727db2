"""The values of the data path: topics, market data, positions, topic logs. Does no I/O."""
