"""Tests of the base protocol."""
