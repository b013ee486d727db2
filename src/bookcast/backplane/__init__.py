"""The foundation of all Redis twins: connection, subscription, circuit breaker, key names."""
