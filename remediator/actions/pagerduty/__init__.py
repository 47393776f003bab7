"""PagerDuty: one alert per incident episode, triggered and resolved through the Events API v2."""
