"""PagerDuty's Events API v2 as far as remediator uses it: state and answers, no HTTP.

As in PagerDuty's published Events API v2 schema: 202 with the dedup_key, 400 'invalid event' with errors, 429 when
throttled; a trigger with the dedup_key of an open alert is folded into it; a resolve of an unknown key is accepted.
"""

from __future__ import annotations

from typing import Any

import msgspec

Body = dict[str, Any]

ACTIONS = ("trigger", "acknowledge", "resolve")
SEVERITIES = ("critical", "error", "warning", "info")
SUMMARY_LIMIT = 1_024
KEY_LIMIT = 255


class Alert(msgspec.Struct):
    """One alert: everything that was sent with its dedup_key while it was open."""

    dedup_key: str
    summary: str
    severity: str
    triggers: int = 1
    open: bool = True


class PagerDutyState:
    """A service with its alerts, oldest first."""

    def __init__(self, routing_key: str = "") -> None:
        self.routing_key = routing_key
        self.alerts: list[Alert] = []
        self.events: list[Body] = []

    @property
    def triggers(self) -> int:
        """Trigger events that were accepted, repeats included."""
        return sum(event["event_action"] == "trigger" for event in self.events)

    @property
    def resolves(self) -> int:
        """Resolve events that were accepted."""
        return sum(event["event_action"] == "resolve" for event in self.events)

    @property
    def distinct_keys(self) -> int:
        """Different dedup keys that were triggered."""
        return len({alert.dedup_key for alert in self.alerts})

    @property
    def pages(self) -> int:
        """How often a person was woken: alerts that were opened."""
        return len(self.alerts)

    @property
    def open_alerts(self) -> int:
        """Alerts that nothing has resolved."""
        return sum(alert.open for alert in self.alerts)

    def enqueue(self, body: Body) -> tuple[int, Body]:
        """The answer to POST /v2/enqueue: (HTTP status, body), after its effect."""
        errors = invalid(body, self.routing_key)
        if errors:
            return 400, {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
        key = str(body.get("dedup_key") or f"generated-{len(self.events)}")
        self.events.append(body)
        self._apply(body, key)
        return 202, {"status": "success", "message": "Event processed", "dedup_key": key}

    def _apply(self, body: Body, key: str) -> None:
        alert = next((one for one in self.alerts if one.dedup_key == key and one.open), None)
        if body["event_action"] == "trigger":
            if alert is None:
                payload = body["payload"]
                self.alerts.append(Alert(key, payload["summary"], payload["severity"]))
            else:
                alert.triggers += 1
        elif alert is not None and body["event_action"] == "resolve":
            alert.open = False


def invalid(body: Body, routing_key: str) -> list[str]:
    """What PagerDuty would say is wrong with the event."""
    errors: list[str] = []
    if not body.get("routing_key") or (routing_key and body["routing_key"] != routing_key):
        errors.append("'routing_key' is missing or not valid")
    if body.get("event_action") not in ACTIONS:
        errors.append(f"'event_action' must be one of {', '.join(ACTIONS)}")
    if len(str(body.get("dedup_key", ""))) > KEY_LIMIT:
        errors.append(f"'dedup_key' is longer than {KEY_LIMIT} characters")
    if body.get("event_action") == "trigger":
        errors += _invalid_payload(body.get("payload"))
    elif not body.get("dedup_key"):
        errors.append("'dedup_key' is missing")
    return errors


def _invalid_payload(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    errors = [
        f"'payload.{name}' is missing or blank" for name in ("summary", "source", "severity") if not payload.get(name)
    ]
    if len(str(payload.get("summary", ""))) > SUMMARY_LIMIT:
        errors.append(f"'payload.summary' is longer than {SUMMARY_LIMIT} characters")
    if payload.get("severity") and payload["severity"] not in SEVERITIES:
        errors.append(
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error', 'info')"
        )
    return errors
