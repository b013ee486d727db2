"""Sessions of clients: from a protocol's actions and a view's frames to one outgoing queue."""
