"""The session store: where sessions are found, in this process or in Redis."""
