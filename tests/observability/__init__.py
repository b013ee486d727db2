"""Tests of bookcast.observability."""
