"""Tests of ``bookcast.v1``."""
