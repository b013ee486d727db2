"""The demand of all nodes: the topics that the feed must deliver."""
