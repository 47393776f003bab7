"""Reasons: every decision, also to do nothing, has a name. `explain`, logs and console print the same ones."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Reason(StrEnum):
    """Why. The text that goes with it is in the decision."""

    SUSPECTED = "suspected"
    AIRFLOW_RETRIES = "airflow_retries"
    RECOVERED = "recovered"
    GONE = "gone"
    STILL_RUNNING = "still_running"
    FAILED_FINALLY = "failed_finally"
    FOUND_BY_LOOK = "found_by_look"
    UNREACHABLE = "unreachable"
    UNVERIFIED = "unverified"
    RULE_RESPONDS = "rule_responds"
    RULE_YIELDS = "rule_yields"
    RULE_OBSERVES = "rule_observes"
    RULE_ERROR = "rule_error"
    UNCLASSIFIED = "unclassified"
    RETRY_PLANNED = "retry_planned"
    RETRY_ISSUED = "retry_issued"
    NEVER_RETRY = "never_retry"
    CEILING = "ceiling"
    APPROVAL_NEEDED = "approval_needed"
    FOREIGN_HOST = "foreign_host"
    BUDGET_SPENT = "budget_spent"
    ATTEMPTS_SPENT = "attempts_spent"
    FROZEN = "frozen"
    THAWED = "thawed"
    CATCHING_UP = "catching_up"
    CAUGHT_UP = "caught_up"
    HELD_TOO_LONG = "held_too_long"
    DELIVERED = "delivered"
    REFUSED = "refused"
    OUTCOME_UNKNOWN = "outcome_unknown"
    SUPERSEDED = "superseded"
    HELPED = "helped"
    DID_NOT_HELP = "did_not_help"
    PAGED = "paged"
    NOTIFIED = "notified"
    ALREADY_TOLD = "already_told"
    INCIDENT_OPENED = "incident_opened"
    INCIDENT_JOINED = "incident_joined"
    INCIDENT_RESOLVED = "incident_resolved"
    INCIDENT_EXPIRED = "incident_expired"
    DUPLICATE = "duplicate"
    PRESSED = "pressed"
    SELF_ALERT = "self_alert"
    FEED_BLIND = "feed_blind"
    FEED_BACK = "feed_back"
    GAP_FOUND = "gap_found"
    FALLBACK_ROUTE = "fallback_route"
    NOT_ALLOWED = "not_allowed"
    FIRED = "fired"
    SUPPRESSED = "suppressed"
    LATE = "late"
    HOLDING = "holding"
    HOLD_ENDED = "hold_ended"
    CALMED = "calmed"
    ENDED_BY_EVENT = "ended_by_event"
    NO_KEY = "no_key"
    LIMIT_REACHED = "limit_reached"
    STATE_BEGUN_ANEW = "state_begun_anew"
    RULE_REMOVED = "rule_removed"
    STEP_WAITS = "step_waits"
    STEP_LEFT_OUT = "step_left_out"
    QUIET = "quiet"
    OUT_OF_SCOPE = "out_of_scope"


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the story that `explain` tells. `position` is the journal position that led to it."""

    position: int
    at: int
    key: str
    reason: Reason
    text: str
    incident: str = ""
    action_id: str = ""
    rule: str = ""
