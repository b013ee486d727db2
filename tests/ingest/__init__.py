"""Tests of what publishers send."""
