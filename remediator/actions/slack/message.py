"""An incident as a Slack message. Pure: the same incident gives the same blocks.

Limits of Block Kit: header 150 characters, text 3000, a section 10 fields of 2000, 50 blocks.
"""

from __future__ import annotations

from typing import Any

from remediator.actions.slack.escape import as_code, as_link, as_plain, as_text
from remediator.model.incident import REPORT_RULE, Handling, Incident, Phase, Proposal
from remediator.model.time import format_instant

HEADER_LIMIT = 150
FIELD_LIMIT = 300
ERROR_LIMIT = 2_800
TEXT_LIMIT = 2_800
IMPACT_SHOWN = 10
DAGRUNS_SHOWN = 5
PROPOSALS_SHOWN = 5
PREVIEW_LIMIT = 1_500
LABELS_SHOWN = 5

SEVERITY_ICON = {"critical": "🔴", "error": "🟠", "warning": "🟡", "info": "🔵"}
RESOLVED_ICON = "🟢"
HANDLING_TEXT = {
    Handling.NONE: "open",
    Handling.REMEDIATING: "being remediated",
    Handling.ACKNOWLEDGED: "acknowledged",
}

Block = dict[str, Any]


def headline(incident: Incident) -> str:
    """One line for the notification and the header, not escaped."""
    if incident.phase is Phase.RESOLVED:
        return f"{RESOLVED_ICON} RESOLVED · {incident.title}"
    icon = SEVERITY_ICON.get(incident.severity, "⚪")
    return f"{icon} {incident.severity.upper()} · {incident.title}"


def render(incident: Incident) -> list[Block]:
    """The blocks of the message."""
    blocks: list[Block] = [
        {"type": "header", "text": _plain(as_plain(headline(incident), HEADER_LIMIT))},
        {"type": "section", "text": _mrkdwn(_status(incident))},
        {"type": "section", "fields": [_mrkdwn(field) for field in _fields(incident)]},
    ]
    if incident.rule == REPORT_RULE:
        blocks = [blocks[0], {"type": "section", "text": _mrkdwn(as_text(incident.status, TEXT_LIMIT))}]
    if incident.text:
        blocks.append({"type": "section", "text": _mrkdwn(as_text(incident.text, TEXT_LIMIT))})
    quoted = [code for code in (incident.error, incident.log_tail) if code]
    blocks += [{"type": "section", "text": _mrkdwn(f"```{as_code(code, ERROR_LIMIT)}```")} for code in quoted]
    blocks += [{"type": "section", "text": _mrkdwn(_proposal(one))} for one in incident.proposals[:PROPOSALS_SHOWN]]
    if incident.impact:
        blocks.append({"type": "section", "text": _mrkdwn(_impact(incident))})
    blocks.append({"type": "context", "elements": [_mrkdwn(_context(incident))]})
    return blocks


def fallback_text(incident: Incident) -> str:
    """What notifications and screen readers show."""
    where = "/".join(part for part in (incident.deployment, incident.dag_id, incident.task_id) if part)
    return as_plain(f"{headline(incident)} ({where})" if where else headline(incident), TEXT_LIMIT)


def _status(incident: Incident) -> str:
    if incident.phase is Phase.RESOLVED:
        parts = [part for part in (incident.resolution or "resolved", incident.status) if part]
        return as_text(": ".join(dict.fromkeys(parts)), TEXT_LIMIT)
    state = HANDLING_TEXT[incident.handling]
    paged = " · paged" if incident.paged else ""
    line = f"*Status:* {state}{paged}"
    return f"{line}\n{as_text(incident.status, TEXT_LIMIT - 100)}" if incident.status else line


def _fields(incident: Incident) -> list[str]:
    named = [
        ("Deployment", incident.deployment),
        ("DAG", incident.dag_id),
        ("Task", incident.task_id),
        ("Failures", str(incident.failures) if incident.failures else ""),
        ("Rule", incident.rule),
        ("Owner", incident.owner),
        ("Dagruns", ", ".join(incident.dagruns[-DAGRUNS_SHOWN:])),
        ("Opened", format_instant(incident.opened_at)[:19] + "Z"),
    ]
    return [f"*{name}*\n`{as_code(value, FIELD_LIMIT)}`" for name, value in named if value]


def _proposal(proposal: Proposal) -> str:
    """What is asked, and how to answer; the id is ours, the text may quote an event."""
    until = format_instant(proposal.expires_at)[:19] + "Z"
    asked = f"*Approve?* {as_text(proposal.text, 1_000)}"
    would = f"\n*Preview:* {as_text(proposal.preview, PREVIEW_LIMIT)}" if proposal.preview else ""
    return f"{asked}{would}\n`remediator approvals approve {as_code(proposal.id, 60)}` (or `reject`), until {until}"


def _impact(incident: Incident) -> str:
    shown = "\n".join(f"• `{as_code(name, 200)}`" for name in incident.impact[:IMPACT_SHOWN])
    more = len(incident.impact) - IMPACT_SHOWN
    return f"*Impact*\n{shown}" + (f"\n… and {more} more" if more > 0 else "")


def _context(incident: Incident) -> str:
    parts = [f"incident `{as_code(incident.id, 60)}` episode {incident.episode}"]
    parts.append(f"updated {format_instant(incident.updated_at)[:19]}Z")
    parts += [
        f"{as_text(name, 40)}: {as_text(value, 80)}" for name, value in list(incident.labels.items())[:LABELS_SHOWN]
    ]
    links = [as_link(incident.log_url, "log"), as_link(incident.runbook, "runbook")]
    return " · ".join([*parts, *filter(None, links)])


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text, "emoji": False}


def _mrkdwn(text: str) -> Block:
    return {"type": "mrkdwn", "text": text, "verbatim": True}
