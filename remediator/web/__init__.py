"""The daemon's own HTTP surface: probes, metrics, and an API for the CLI. Decides nothing; asks a `Surface`."""
