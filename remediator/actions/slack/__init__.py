"""Slack: one message per incident, posted once and edited in place."""
