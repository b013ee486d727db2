"""The fan-out: from the engine's updates to the outboxes of those who want them. Does no I/O."""
