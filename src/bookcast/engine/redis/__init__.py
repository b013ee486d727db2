"""The engine of many nodes, and its parts."""
