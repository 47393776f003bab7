"""The pure core: state and input in, state and effects out. No clock, no randomness, no I/O, no asyncio, no logging."""
