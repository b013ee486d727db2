"""Metrics and logs: what the server counts and reports."""
