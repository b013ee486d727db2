"""What everything that nodes share through Redis is built on: connection, channels, names."""
