"""The backend of a node: its engine and its cluster, in memory or in Redis."""
