"""What the nodes of a cluster share besides updates: members, election, demand, feed status."""
