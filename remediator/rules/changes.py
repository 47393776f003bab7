"""Steps that change something: the one table of their kinds and keys, which loader, schema, lint and docs follow.

How keys are read is in change_keys; which rules may change anything is said by steps and by the policy.
"""

from __future__ import annotations

import msgspec

from remediator.model.time import DAY

RETRY = "airflow.retry"
MAX_ATTEMPTS = 20
LONGEST_WAIT = 7 * DAY
MAX_SLOTS = 10_000
MAX_REPLICAS = 1_000
MAX_ACTIVE = 16


class Key(msgspec.Struct, frozen=True):
    """One key that is a change's own, and so part of `Step.params`.

    kind: 'text' and 'instant' are templates, 'values' a table with templates in it; 'name', 'word' and 'number' are
    taken as written. words: of a word. high: of a number, from `low`. stands_for: the field of the event that is
    taken if the key is absent.
    """

    kind: str
    says: str
    required: bool = False
    words: tuple[str, ...] = ()
    low: int = 0
    high: int = 0
    stands_for: str = ""


class Change(msgspec.Struct, frozen=True):
    """One kind of change. keys: its own; shared: those of Step. answers: only for a failure that is final."""

    says: str
    keys: dict[str, Key] = {}
    shared: tuple[str, ...] = ("max_attempts",)
    answers: bool = False


_DAG = Key("text", "The DAG; the event's unless said.", stands_for="dag_id")
_SINCE = Key("instant", "The first logical date; the event's unless said.", stands_for="logical_date")
_UNDONE = ("max_attempts", "undo_after")

CHANGES: dict[str, Change] = {
    RETRY: Change(
        "Clears the failed task and what follows it.",
        {"scope": Key("word", "What is cleared; task unless said.", words=("task", "group", "dagrun"))},
        ("max_attempts", "backoff", "verify"),
        answers=True,
    ),
    "airflow.rerun": Change(
        "Clears the whole dagrun, what succeeded too.", shared=("max_attempts", "verify"), answers=True
    ),
    "airflow.reprocess": Change(
        "Clears the dagruns of a time, and creates those that are missing.",
        {
            "dag_id": _DAG,
            "since": _SINCE,
            "until": Key("instant", "Before which data intervals begin."),
        },
    ),
    "airflow.backfill": Change(
        "Has Airflow backfill a time.",
        {
            "dag_id": _DAG,
            "since": _SINCE,
            "until": Key("instant", "The last logical date; the event's unless said."),
            "reprocess": Key(
                "word", "Which dagruns are run again; failed unless said.", words=("none", "failed", "completed")
            ),
            "max_active": Key("number", "Dagruns at once; 2 unless said.", low=1, high=MAX_ACTIVE),
        },
    ),
    "airflow.trigger": Change(
        "Starts a dagrun.",
        {
            "dag_id": Key("text", "The DAG.", required=True),
            "conf": Key("values", "The dagrun's conf; texts in it are templates."),
            "logical_date": Key("instant", "The dagrun's logical date; none unless said."),
        },
    ),
    "airflow.pause": Change("Stops a DAG from being scheduled.", {"dag_id": _DAG}, _UNDONE),
    "airflow.resume": Change("Lets a DAG be scheduled again.", {"dag_id": _DAG}, _UNDONE),
    "airflow.pool": Change(
        "Gives a pool so many slots.",
        {
            "pool": Key("text", "The pool.", required=True),
            "slots": Key("number", "How many it has then.", required=True, high=MAX_SLOTS),
            "only_if": Key("number", "Nothing is done unless it has so many now.", high=MAX_SLOTS),
        },
        _UNDONE,
    ),
    "airflow.mark": Change(
        "Sets the failed task's state by hand; a person is always asked.",
        {"state": Key("word", "The state.", required=True, words=("success", "failed", "skipped"))},
        answers=True,
    ),
    "kubernetes.scale": Change(
        "Gives a workload so many replicas.",
        {
            "namespace": Key("text", "Where it is.", required=True),
            "kind": Key("word", "What it is.", required=True, words=("Deployment", "StatefulSet")),
            "name": Key("text", "What it is called.", required=True),
            "replicas": Key("number", "How many it has then.", required=True, high=MAX_REPLICAS),
            "only_if": Key("number", "Nothing is done unless it has so many now.", high=MAX_REPLICAS),
        },
        _UNDONE,
    ),
    "http.request": Change(
        "Sends JSON to an endpoint of the configuration.",
        {
            "endpoint": Key("name", "An [[endpoint]] of the configuration.", required=True),
            "body": Key("values", "What is sent; texts in it are templates."),
        },
    ),
}
"""Every kind of change that a step of `do` can be."""
