"""What nodes share beside what is published: who they are, who runs the feed, what is wanted."""
