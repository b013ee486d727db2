"""Everything that nobody would send, sent."""
