"""Who somebody is, what they may do, and how much. HTTP and WebSocket ask the same gate."""
