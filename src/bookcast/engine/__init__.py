"""The engine: it gives positions, and stores the newest state of every topic."""
