"""Where positions are given and the newest state of every topic lives."""
