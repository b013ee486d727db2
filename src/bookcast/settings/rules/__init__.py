"""What settings must be together, area by area."""
