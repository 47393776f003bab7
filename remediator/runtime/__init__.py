"""The asyncio shell around the pure core, and the only place that wires adapters together."""
