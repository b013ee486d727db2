"""Tests that send what no sensible client would send."""
