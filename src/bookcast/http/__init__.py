"""The HTTP side: publishing, reading, health, statistics, the live page."""
