"""What publishers send: schemas, reading and checking, and the way into the engine."""
