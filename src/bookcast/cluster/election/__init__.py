"""The election of the leader: the node that runs the feed."""
