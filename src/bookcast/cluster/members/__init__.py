"""The members of a cluster: which nodes live, and requests between them."""
