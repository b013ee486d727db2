"""Tests of authentication and of rights."""
