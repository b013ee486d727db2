"""The engine of a cluster, on Redis, and its parts."""
