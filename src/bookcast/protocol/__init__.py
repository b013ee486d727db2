"""The words on the wire: commands in, messages out. Does no I/O."""
