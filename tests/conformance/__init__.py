"""What others agreed on: the WebSocket protocol, and a suite that tries it out."""
