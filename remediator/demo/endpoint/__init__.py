"""A stand-in for any HTTP endpoint that takes JSON, counts what it did, and misbehaves on request."""
