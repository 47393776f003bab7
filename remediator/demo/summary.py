"""The report at the demo's end: one JSON object, or a few lines for people. Pure over what was counted.

Owns the names in the report; docs/demo.md defines them. `clears`, `duplicate_clears`, `pages_received` and
`slack_posts` are the stand-ins' own counts, not the daemon's word.
"""

from __future__ import annotations

from typing import Any

from remediator.demo.fleet.state import FleetState
from remediator.demo.plant import Plant
from remediator.demo.watch import Tally
from remediator.model.reasons import Reason
from remediator.model.time import SECOND, Instant
from remediator.store.port import Counts

Report = dict[str, Any]
PERSON = "person"


def report(plant: Plant, counts: Counts, now: Instant) -> Report:
    """Everything that is told at the end. Take `counts` while the store is open, and call this at any time after."""
    return {**_daemons(plant.tally, counts), **_stand_ins(plant), "seconds": round((now - plant.started_at) / SECOND)}


def _daemons(tally: Tally, counts: Counts) -> Report:
    return {
        "records": tally.records,
        "events": tally.events,
        "matches": tally.matches,
        "failures": tally.reasons[Reason.FAILED_FINALLY],
        "airflow_retried": tally.reasons[Reason.AIRFLOW_RETRIES],
        "incidents": {
            "opened": len(tally.opened),
            "resolved": len(tally.resolved),
            "open": len(tally.opened - tally.resolved),
        },
        "actions": actions(tally, counts),
        "helped": tally.reasons[Reason.HELPED],
        "did_not_help": tally.reasons[Reason.DID_NOT_HELP],
        "pages": tally.pages,
        "dead_letters": tally.dead_letters,
        "duplicates": tally.reasons[Reason.DUPLICATE],
    }


def actions(tally: Tally, counts: Counts) -> dict[str, dict[str, int]]:
    """kind -> outcome -> how many; 'pending' and 'claimed' are not done yet."""
    found: dict[str, dict[str, int]] = {}
    for (kind, outcome), number in sorted(tally.actions.items()):
        found.setdefault(kind, {})[outcome] = number
    for kind, states in sorted(counts.outbox.items()):
        for state in ("pending", "claimed"):
            if states.get(state):
                found.setdefault(kind, {})[state] = states[state]
    return found


def clears_by(state: FleetState) -> tuple[int, int]:
    """(by the daemon, by people) of the clears that had an effect."""
    people = sum(record.user == PERSON for record in state.clear_records)
    return len(state.clear_records) - people, people


def _stand_ins(plant: Plant) -> Report:
    states = [one.api.state for one in plant.fleet.values()]
    people = plant.receiver.counters()
    return {
        "clears": sum(clears_by(state)[0] for state in states),
        "clears_by_people": sum(clears_by(state)[1] for state in states),
        "fixes_by_people": plant.person.fixed,
        "duplicate_clears": sum(state.duplicate_clears for state in states),
        "pages_received": people["pagerduty_pages"],
        "pages_open": people["pagerduty_open"],
        "slack_posts": people["slack_posts"],
        "slack_edits": people["slack_edits"],
        "produced": {
            "records": plant.traffic.sent,
            "twice": plant.traffic.twice,
            "late": plant.traffic.late,
            "garbage": plant.traffic.garbage,
            "dropped": plant.traffic.dropped,
        },
    }


def spoken(found: Report) -> list[str]:
    """The report in sentences."""
    incidents, produced = found["incidents"], found["produced"]
    return [
        f"{found['seconds']} s: {found['records']} records read ({found['dead_letters']} of them garbage, kept as dead "
        f"letters; {produced['twice']} came twice, {produced['late']} late), {found['events']} events.",
        f"{found['airflow_retried']} failures were left to Airflow's own retries; {found['failures']} were final.",
        f"{found['clears']} clears by remediator, as the stand-in Airflows counted ({found['duplicate_clears']} twice),"
        f" {found['helped']} helped, {found['did_not_help']} did not. People cleared {found['clears_by_people']} and "
        f"fixed {found['fixes_by_people']} by hand.",
        f"{incidents['opened']} incidents: {incidents['resolved']} resolved, {incidents['open']} open; "
        f"{found['pages_received']} pages reached a person, {found['slack_posts']} Slack messages "
        f"(edited {found['slack_edits']} times).",
    ]
