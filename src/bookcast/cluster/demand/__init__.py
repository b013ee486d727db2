"""What all nodes want of the feed together."""
