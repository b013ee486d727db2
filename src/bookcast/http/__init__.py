"""The HTTP side: publishing, health, statistics, the live page."""
