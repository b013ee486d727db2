"""The nodes of a cluster: who lives, and what they can be asked."""
