"""WebSockets on sockets: listening, handshakes, frames and back-pressure."""
