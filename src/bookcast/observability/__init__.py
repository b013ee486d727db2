"""What the server counts, and how that is read from outside."""
