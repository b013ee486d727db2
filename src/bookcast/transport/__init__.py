"""WebSockets on sockets: listening, handshake, frames, and flow control."""
