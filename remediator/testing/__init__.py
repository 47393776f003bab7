"""Public helpers for tests of rules and of remediator itself: virtual time, simulations, deliberate faults."""
