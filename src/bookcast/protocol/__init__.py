"""The protocols' messages: commands in, messages out. Does no I/O."""
