"""Which node runs the feed."""
