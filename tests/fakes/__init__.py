"""Simulated counterparts that speak the real protocols."""
