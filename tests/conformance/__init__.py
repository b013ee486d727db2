"""Standards: the WebSocket protocol, and a suite that tests conformance."""
