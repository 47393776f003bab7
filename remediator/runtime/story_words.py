"""The words of stories: a sentence for every reason, and names for changes, receivers and lengths of time. Pure.

Knows texts only; which of them are told, and in which order, is story.py's.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from remediator.model.action import (
    Action,
    Backfill,
    CancelBackfill,
    DryRun,
    LogLine,
    LogTail,
    Look,
    Mark,
    Message,
    Page,
    Params,
    Pause,
    Pool,
    Report,
    Reprocess,
    Request,
    Rerun,
    Retry,
    RetryTarget,
    Scale,
    Survey,
    Sweep,
    Trigger,
)
from remediator.model.event import UNMAPPED_INDEX
from remediator.model.reasons import Decision, Reason
from remediator.model.time import SECOND, Duration, Instant, format_duration, format_instant
from remediator.model.truth import DagRunTruth

_REASONS = "|".join(sorted((one.value for one in Reason), key=len, reverse=True))
_NAMED = re.compile(rf"^(?:{_REASONS}): ")
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z")
_FRACTION = re.compile(r"\b(\d+[smhd])\d+ms\b")
_TRY = re.compile(r"^(?P<task>.+?) try (?P<number>\d+)\b")
_RUN = re.compile(r" of dagrun (.+?)(?:: | is said to have failed)")

SENTENCES: dict[Reason, str] = {
    Reason.SUSPECTED: "An event says that {text}; the scheduler is asked whether that is final.",
    Reason.AIRFLOW_RETRIES: "Airflow runs it again by itself, so there is nothing to do: {text}.",
    Reason.RECOVERED: "It is well again without a change of ours: {text}.",
    Reason.GONE: "The dagrun was deleted, so there is nothing left to heal: {text}.",
    Reason.STILL_RUNNING: "The scheduler was asked and has no end to tell yet: {text}.",
    Reason.FAILED_FINALLY: "The failure is final: {text}.",
    Reason.FOUND_BY_LOOK: "Looking found a failure that no event had told of: {text}.",
    Reason.UNREACHABLE: "The scheduler did not answer: {text}.",
    Reason.UNVERIFIED: "It could not be verified, and nothing is changed on a guess: {text}.",
    Reason.RULE_RESPONDS: "Rule {rule} answers: {text}.",
    Reason.RULE_YIELDS: "Rule {rule} matches too and leaves the answer {text}.",
    Reason.RULE_OBSERVES: "Rule {rule} only observes: it {text}.",
    Reason.RULE_ERROR: "A rule could not be applied, so it does nothing: {text}.",
    Reason.UNCLASSIFIED: "No acting rule knows this failure: people are told, nothing is tried.",
    Reason.RETRY_PLANNED: "A retry is planned: {text}.",
    Reason.RETRY_ISSUED: "The retry is sent: {text}.",
    Reason.NEVER_RETRY: "No retry, since it is on a list of what is never retried: {text}.",
    Reason.CEILING: "No change, since none is allowed here: {text}.",
    Reason.APPROVAL_NEEDED: "A person must say yes first: {text}.",
    Reason.FOREIGN_HOST: "No change, since the failure may be another system's: {text}.",
    Reason.BUDGET_SPENT: "No further change, the budget is used up: {text}.",
    Reason.ATTEMPTS_SPENT: "No further retry: {text}.",
    Reason.FROZEN: "The freeze stops all changes: {text}.",
    Reason.THAWED: "The freeze is over, what it held is decided anew: {text}.",
    Reason.CATCHING_UP: "People are not told yet, since what is read may be long over: {text}.",
    Reason.HELD_TOO_LONG: "It was held for as long as is allowed and goes on now; it was held because of: {text}.",
    Reason.DELIVERED: "The target says that it is done: {text}.",
    Reason.REFUSED: "It was refused, and nothing was changed: {text}.",
    Reason.OUTCOME_UNKNOWN: "Whether it happened is not known; it is not repeated on faith: {text}.",
    Reason.HELPED: "Proved: it helped. {text}.",
    Reason.DID_NOT_HELP: "Proved: it did not help. {text}.",
    Reason.PAGED: "People are woken: {text}.",
    Reason.NOTIFIED: "People are told: {text}.",
    Reason.ALREADY_TOLD: "Nobody is told twice: {text}.",
    Reason.INCIDENT_OPENED: "The incident is opened, {text}.",
    Reason.INCIDENT_JOINED: "It belongs to the incident that is open: {text}.",
    Reason.INCIDENT_RESOLVED: "The incident is over: {text}.",
    Reason.INCIDENT_EXPIRED: "The incident ends by its age: {text}.",
    Reason.DUPLICATE: "The same was said again and changes nothing: {text}.",
    Reason.SELF_ALERT: "Something is wrong with remediator's own sight or reach: {text}.",
    Reason.FEED_BLIND: "Nothing is read any more, so silence means nothing: {text}.",
    Reason.FEED_BACK: "The feed is read again: {text}.",
    Reason.GAP_FOUND: "Records were lost before they could be read: {text}.",
    Reason.FALLBACK_ROUTE: "People could not be reached, so others are told: {text}.",
    Reason.NOT_ALLOWED: "No change, since nobody allowed this rule to make it: {text}.",
    Reason.FIRED: "Rule {rule} found what it waits for: {text}.",
    Reason.SUPPRESSED: "Rule {rule} found it again and keeps still: {text}.",
    Reason.LATE: "An event came too late to be counted by rule {rule}: {text}.",
    Reason.HOLDING: "Rule {rule} sees it and waits whether it lasts: {text}.",
    Reason.HOLD_ENDED: "It did not last, so rule {rule} does nothing: {text}.",
    Reason.CALMED: "It has calmed down: {text}.",
    Reason.ENDED_BY_EVENT: "An event ended it: {text}.",
    Reason.NO_KEY: "Rule {rule} cannot count an event that lacks what it counts by: {text}.",
    Reason.LIMIT_REACHED: "A limit of what is remembered was reached: {text}.",
    Reason.STATE_BEGUN_ANEW: "Rule {rule} was changed and counts from the beginning: {text}.",
    Reason.RULE_REMOVED: "Its rule is gone, so nothing can end it any more but this: {text}.",
    Reason.RULE_CHANGED: "Its rule knows it under this name no more, so nothing can end it but this: {text}.",
    Reason.STEP_WAITS: "The rule wants to wait: {text}.",
    Reason.STEP_LEFT_OUT: "A step is left out: {text}.",
    Reason.QUIET: "It is a quiet time, nobody is told yet: {text}.",
    Reason.PREVIEW_ASKED: "Before people, the scheduler is asked: {text}.",
    Reason.PREVIEWED: "The question to people now says: {text}.",
    Reason.PROPOSED: "A person is asked: {text}.",
    Reason.APPROVED: "A person said yes: {text}.",
    Reason.REJECTED: "A person said no: {text}.",
    Reason.PROPOSAL_EXPIRED: "The question is closed: {text}.",
    Reason.TOO_MANY_AFFECTED: "It would touch too much to be done without a person: {text}.",
    Reason.BREAKER_OPEN: "The breaker opens, since the rule has not been helping: {text}.",
    Reason.BREAKER_PROBES: "The breaker lets one through: {text}.",
    Reason.BREAKER_WAITS: "It waits for the breaker: {text}.",
    Reason.BREAKER_CLOSED: "The breaker closes, the rule may act again: {text}.",
    Reason.CAPPED: "Not now, too much is being changed at once: {text}.",
    Reason.MAINTENANCE: "Not now: {text}.",
    Reason.DIGESTED: "Not paged by itself but named in one digest: {text}.",
    Reason.CHANGE_ISSUED: "The change is sent: {text}.",
    Reason.UNDONE: "The change is taken back: {text}.",
    Reason.UNANNOUNCED: "No event will come for this failure: {text}.",
    Reason.ANNOUNCED_LATE: "The event came after all: {text}.",
    Reason.REPORTED: "A report: {text}.",
    Reason.PAUSED: "Not while a person wants it to stand still: {text}.",
    Reason.LEFT_ALONE: "It is left as a person wants it: {text}.",
    Reason.RESTORED: "The store was restored: {text}.",
}
"""What a decision means. {text}: what it says itself; {rule}: the rule's id."""

KINDS: dict[str, str] = {
    "airflow.look": "look",
    "report": "report",
    "airflow.sweep": "sweep",
    "airflow.survey": "survey",
    "airflow.log": "question for the log",
    "preview": "preview",
    "airflow.retry": "retry",
    "airflow.rerun": "rerun",
    "airflow.trigger": "trigger",
    "airflow.reprocess": "reprocessing",
    "airflow.backfill": "backfill",
    "airflow.cancel_backfill": "cancelled backfill",
    "airflow.pause": "pause",
    "airflow.pool": "pool size",
    "airflow.mark": "mark by hand",
    "kubernetes.scale": "scaling",
    "http.request": "request",
    "slack.message": "Slack message",
    "pagerduty.page": "page",
    "log": "log line",
}
"""Kind of action -> what people call it."""


SAID = re.compile(r"^(.*) is said to have failed$", re.DOTALL)
RECEIVERS = {"pagerduty.page": "PagerDuty", "slack.message": "Slack", "log": "the daemon's log"}
UNDO_PLANNED = re.compile(r" is undone in \w+$")


def sentence(decision: Decision) -> str:
    """One decision in plain words."""
    text = _worded(decision.reason, plain(decision.text).strip().rstrip(" .:")) or "no more is known"
    known = SENTENCES[decision.reason]
    if decision.reason is Reason.STEP_WAITS and UNDO_PLANNED.search(text):
        known = "It will be taken back: {text}."
    found = known.format(text=text, rule=repr(decision.rule) if decision.rule else "")
    return " ".join(found.split())


def _worded(reason: Reason, text: str) -> str:
    if reason is Reason.SUSPECTED:
        return SAID.sub(r"\1 failed", text)
    if reason in (Reason.PAGED, Reason.NOTIFIED):
        kind, _, rest = text.partition(" ")
        return f"{RECEIVERS.get(kind, kind)} {rest}".strip()
    return text


def plain(text: str) -> str:
    """A decision's text for people: no name of a reason before it, times without fractions."""
    text = _NAMED.sub("", text)
    text = _INSTANT.sub(lambda found: f"{found[1]} {found[2]}Z", text)
    return _FRACTION.sub(r"\1", text)


def task_and_try(text: str) -> tuple[str, int] | None:
    """'load[3] try 2 of dagrun r1: …' -> ('load[3]', 2)."""
    found = _TRY.match(text)
    return (found["task"], int(found["number"])) if found else None


def run_of(text: str) -> str:
    """'load try 2 of dagrun r1: …' -> 'r1'; '' if it names none."""
    found = _RUN.search(text)
    return found[1] if found else ""


# -- times --------------------------------------------------------------------------------------------------------


def length(duration: Duration) -> str:
    """A length as a person needs it: to the tenth of a second below ten seconds, else to the second."""
    if abs(duration) < 10 * SECOND:
        return f"{duration / SECOND:.1f}s"
    return format_duration(duration // SECOND * SECOND)


def clock(at: Instant) -> str:
    """'2026-11-22 06:50:35Z'"""
    return format_instant(at)[:19].replace("T", " ") + "Z"


# -- actions ------------------------------------------------------------------------------------------------------


def task_name(task: RetryTarget) -> str:
    """'load', or 'load[3]' for a mapped index."""
    return task.task_id if task.map_index == UNMAPPED_INDEX else f"{task.task_id}[{task.map_index}]"


def what_of(action: Action) -> str:
    """What the action is to do, and where: 'clear try 1 of load in dagrun r1 of DAG sales'."""
    worded = WHAT.get(type(action.params))
    return worded(action.params) if worded else action.kind


def did(action: Action) -> str:
    """The same, once it was done: 'cleared try 1 of load …'."""
    verb, _, rest = what_of(action).partition(" ")
    past = "set" if verb == "set" else IRREGULAR.get(verb, f"{verb.removesuffix('e')}ed")
    return f"{past} {rest}".strip()


def _retry(params: Retry) -> str:
    tasks = ", ".join(f"try {one.try_number} of {task_name(one)}" for one in params.tasks)
    beside = {"group": " with its whole task group", "dagrun": " with every failed task of the dagrun"}
    place = f"dagrun {params.run_id} of DAG {params.dag_id}"
    return f"clear {tasks or 'failed tasks'}{beside.get(params.scope, '')} in {place}"


def _pool(params: Pool) -> str:
    return f"set pool {params.pool} to {params.slots} slots"


def _scale(params: Scale) -> str:
    return f"scale {params.kind} {params.namespace}/{params.name} to {params.replicas}"


def _range(params: Reprocess | Backfill, verb: str) -> str:
    return f"{verb} DAG {params.dag_id} from {clock(params.since)} to {clock(params.until)}"


def _message(params: Message) -> str:
    return f"{'edit the message' if params.ref else 'post a message'} in {params.channel}"


WHAT: dict[type[Params], Callable[..., str]] = {
    Look: lambda it: f"ask for dagrun {it.run_id} of DAG {it.dag_id}",
    Sweep: lambda it: f"ask for failures since {clock(it.since)}",
    Survey: lambda it: "ask for what no event tells",
    LogTail: lambda it: f"ask for the log of {it.task_id}",
    DryRun: lambda it: f"ask what a yes would do: {WHAT[type(it.change)](it.change)}",
    Report: lambda it: "ask for the report",
    Retry: _retry,
    Rerun: lambda it: f"run all of dagrun {it.run_id} of DAG {it.dag_id} again",
    Trigger: lambda it: f"create dagrun {it.run_id} of DAG {it.dag_id}",
    Reprocess: lambda it: _range(it, "reprocess"),
    Backfill: lambda it: _range(it, "backfill"),
    CancelBackfill: lambda it: f"cancel backfill {it.backfill_id} of DAG {it.dag_id}",
    Pause: lambda it: f"{'pause' if it.paused else 'resume'} DAG {it.dag_id}",
    Pool: _pool,
    Mark: lambda it: f"mark {task_name(it.task)} in dagrun {it.run_id} of DAG {it.dag_id} as {it.state}",
    Scale: _scale,
    Request: lambda it: f"send a request to endpoint {it.endpoint}",
    Message: _message,
    Page: lambda it: f"{'resolve the alert' if it.event_action == 'resolve' else 'page somebody'}",
    LogLine: lambda it: "write to the daemon's own log",
}
"""Parameters of an action -> what it does."""

IRREGULAR: dict[str, str] = {"run": "ran", "send": "sent", "write": "wrote", "cancel": "cancelled"}

STATES: dict[str, str] = {
    "pending": "waits to be sent",
    "claimed": "is being sent",
    "delivered": "done",
    "refused": "refused",
    "unknown": "not known whether it happened",
}
"""State of an outbox row -> words."""


def result_of(state: str, tries: int, detail: str) -> str:
    """'done after 2 failed tries: 1 task cleared'"""
    after = f" after {tries} failed {'try' if tries == 1 else 'tries'}" if tries else ""
    return f"{STATES.get(state, state)}{after}{f': {plain(detail)}' if detail else ''}"


# -- truths -------------------------------------------------------------------------------------------------------


def truth_words(truth: DagRunTruth | None, error: str = "") -> str:
    """What the scheduler answered."""
    if truth is None:
        return f"no answer: {error}" if error else "no answer"
    if not truth.state:
        return f"it does not know dagrun {truth.run_id} any more"
    unwell = [f"{_named(one.task_id, one.map_index)} is {one.state or 'not begun'} at try {one.try_number}"
              for one in truth.tasks[:5]]  # fmt: skip
    more = f" and {len(truth.tasks) - 5} more" if len(truth.tasks) > 5 else ""
    rest = ", ".join(unwell) + more if unwell else "no task of it is unwell"
    return f"dagrun {truth.run_id} is {truth.state}, {rest}"


def _named(task_id: str, map_index: int) -> str:
    return task_name(msgspec.structs.replace(RetryTarget(task_id, 0), map_index=map_index))
