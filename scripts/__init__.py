"""Programs for those who work on bookcast."""
