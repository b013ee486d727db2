"""The base protocol, frozen to the letter: docs/protocol.md."""
