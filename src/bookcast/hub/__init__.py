"""The fan-out, from the engine's updates to the outboxes of the subscribers. Does no I/O."""
