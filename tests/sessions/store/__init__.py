"""Where sessions are found."""
