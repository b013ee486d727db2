"""What the node that runs the feed says of it."""
