"""A stand-in for a Kubernetes API server: the scale subresource of apps/v1, as strict as the real one."""
