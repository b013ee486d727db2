"""Tests of who comes in, and what they may do."""
