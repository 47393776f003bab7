"""What the daemon costs, measured against a loop that does nothing but read, decode and look up."""
