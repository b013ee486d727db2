"""The feed status board: what the leader publishes about its feed."""
