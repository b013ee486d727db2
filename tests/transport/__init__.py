"""Tests of WebSockets on sockets."""
