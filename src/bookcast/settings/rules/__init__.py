"""Rules between settings, by area."""
