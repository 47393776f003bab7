"""A stand-in that plays Slack and PagerDuty over HTTP, counts what reached it, and misbehaves on request."""
