"""Tests of the engine in Redis."""
