"""An incident as an event of PagerDuty's Events API v2. Pure.

Limits there: summary 1024 characters, dedup_key 255, the whole event 512 KB.
"""

from __future__ import annotations

from typing import Any

from remediator.model.action import Page
from remediator.model.incident import Incident, Proposal
from remediator.model.text import cut
from remediator.model.time import format_instant

SUMMARY_LIMIT = 1_024
KEY_LIMIT = 255
DETAIL_LIMIT = 4_000
ITEMS_SHOWN = 20
SEVERITIES = {"info": "info", "warning": "warning", "error": "error", "critical": "critical"}
TRIGGER = "trigger"


def enqueue_body(page: Page, routing_key: str, client: str) -> dict[str, Any]:
    """The body of POST /v2/enqueue. A resolve needs its key only."""
    body: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": page.event_action,
        "dedup_key": page.dedup_key[:KEY_LIMIT],
    }
    if page.event_action != TRIGGER:
        return body
    body["client"] = client
    body["payload"] = _payload(page.incident)
    named = ((page.incident.log_url, "Airflow log"), (page.incident.runbook, "Runbook"))
    links = [{"href": url[:2_000], "text": text} for url, text in named if url.startswith(("https://", "http://"))]
    return {**body, "links": links} if links else body


def _payload(incident: Incident) -> dict[str, Any]:
    where = "/".join(part for part in (incident.deployment, incident.dag_id, incident.task_id) if part)
    return {
        "summary": cut(f"{incident.title} [{where}]" if where else incident.title, SUMMARY_LIMIT),
        "source": cut(where or "remediator", DETAIL_LIMIT),
        "severity": SEVERITIES.get(incident.severity, "error"),
        "timestamp": format_instant(incident.opened_at),
        "component": cut(incident.task_id, DETAIL_LIMIT),
        "group": cut(incident.dag_id, DETAIL_LIMIT),
        "class": cut(incident.rule, DETAIL_LIMIT),
        "custom_details": _details(incident),
    }


def _details(incident: Incident) -> dict[str, str]:
    named = {
        "incident": f"{incident.id} episode {incident.episode}",
        "status": incident.status,
        "text": incident.text,
        "error": incident.error,
        "failures": str(incident.failures or ""),
        "owner": incident.owner,
        "dagruns": ", ".join(incident.dagruns[-ITEMS_SHOWN:]),
        "labels": ", ".join(f"{name}={value}" for name, value in incident.labels.items()),
        "approve": ", ".join(map(_asked, incident.proposals)),
        "log": incident.log_tail,
        "impact": ", ".join(incident.impact[:ITEMS_SHOWN]),
    }
    return {name: cut(value, DETAIL_LIMIT) for name, value in named.items() if value}


def _asked(proposal: Proposal) -> str:
    preview = f"; {proposal.preview}" if proposal.preview else ""
    return f"remediator approvals approve {proposal.id}: {proposal.text}{preview}"
