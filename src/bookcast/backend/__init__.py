"""What a node stands on: its engine and its cluster, in memory or in Redis."""
