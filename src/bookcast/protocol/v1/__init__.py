"""The protocol ``bookcast.v1``: docs/protocol-v1.md."""
