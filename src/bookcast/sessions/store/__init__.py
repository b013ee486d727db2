"""Where sessions are found by whoever goes on with them: in this process, or in Redis."""
