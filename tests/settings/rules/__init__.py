"""Tests of bookcast.settings.rules."""
