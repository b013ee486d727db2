"""Authentication and rights, including limits. HTTP and WebSocket use the same gate."""
