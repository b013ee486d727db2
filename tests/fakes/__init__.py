"""Stand-ins for what can't be had, speaking the real protocols."""
