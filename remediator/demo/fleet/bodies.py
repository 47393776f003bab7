"""Request bodies, checked as Airflow checks them: unknown fields and wrong types are 422 in pydantic's words. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remediator.demo.fleet.clearing import ClearBody
from remediator.model.time import parse_instant

Json = dict[str, Any]
NOTE_LIMIT = 1000
TASK_STATES = (
    "removed",
    "scheduled",
    "queued",
    "running",
    "success",
    "restarting",
    "failed",
    "up_for_retry",
    "up_for_reschedule",
    "upstream_failed",
    "skipped",
    "deferred",
    "awaiting_input",
)


class Invalid(Exception):  # noqa: N818
    """A body or parameter that Airflow refuses. detail: its `detail`, a list of faults or a text."""

    def __init__(self, detail: list[Json] | str) -> None:
        super().__init__(str(detail))
        self.detail = detail


_CONTEXTS: dict[str, Json] = {"slots": {"ge": -1}, "new_state": {"error": {}}}
"""What pydantic adds to the faults of these fields."""
Check = Callable[[Any], str | None]
"""A value -> the fault's 'type|msg', None if it is fine."""


def _boolean(value: Any) -> str | None:
    lax = (
        isinstance(value, bool) or value in (0, 1) or str(value).lower() in {"true", "false", "yes", "no", "on", "off"}
    )
    return None if lax else "bool_parsing|Input should be a valid boolean, unable to interpret input"


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, str) else "string_type|Input should be a valid string"


def _note(value: Any) -> str | None:
    if isinstance(value, str) and len(value) > NOTE_LIMIT:
        return f"string_too_long|String should have at most {NOTE_LIMIT} characters"
    return _text(value)


def _texts(value: Any) -> str | None:
    fine = value is None or (isinstance(value, list) and all(isinstance(item, str) for item in value))
    return None if fine else "list_type|Input should be a valid list"


def _markers(value: Any) -> str | None:
    fine = value is None or (isinstance(value, list) and all(_is_marker(item) for item in value))
    return None if fine else "list_type|Input should be a valid list"


def _is_marker(item: Any) -> bool:
    return isinstance(item, str) or (isinstance(item, list) and len(item) == 2 and isinstance(item[1], int))


def _states(value: Any) -> str | None:
    if value is None or (isinstance(value, list) and all(item is None or item in TASK_STATES for item in value)):
        return None
    allowed = ", ".join(f"'{state}'" for state in TASK_STATES[:-1])
    return f"enum|Input should be {allowed} or '{TASK_STATES[-1]}'"


def _count(value: Any) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return "int_type|Input should be a valid integer"
    return None if value >= 0 else "greater_than_equal|Input should be greater than or equal to 0"


def _slots(value: Any) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return "int_type|Input should be a valid integer"
    return None if value >= -1 else "greater_than_equal|Input should be greater than or equal to -1"


def _reprocess(value: Any) -> str | None:
    known = value in ("failed", "completed", "none")
    return None if known else "enum|Input should be 'failed', 'completed' or 'none'"


def _mark(value: Any) -> str | None:
    return None if value in MARKS else f"value_error|Value error, '{value}' is not one of {list(MARKS)}"


def _moment(value: Any) -> str | None:
    try:
        parse_instant(value or "1970-01-01")
    except (TypeError, ValueError):
        return "datetime_from_date_parsing|Input should be a valid datetime or date"
    return None


CLEAR: dict[str, Check] = {
    "dry_run": _boolean,
    "start_date": _moment,
    "end_date": _moment,
    "only_failed": _boolean,
    "only_running": _boolean,
    "reset_dag_runs": _boolean,
    "task_ids": _markers,
    "dag_run_id": _text,
    "include_upstream": _boolean,
    "include_downstream": _boolean,
    "include_future": _boolean,
    "include_past": _boolean,
    "run_on_latest_version": _boolean,
    "prevent_running_task": _boolean,
    "note": _note,
}
TASK_LIST: dict[str, Check] = {
    "dag_ids": _texts,
    "dag_run_ids": _texts,
    "task_ids": _texts,
    "state": _states,
    "pool": _texts,
    "queue": _texts,
    "executor": _texts,
    "page_offset": _count,
    "page_limit": _count,
    "order_by": _text,
    **{
        f"{name}_{bound}": _moment
        for name in ("run_after", "logical_date", "start_date", "end_date")
        for bound in ("gte", "gt", "lte", "lt")
    },
}
RUN_CLEAR: dict[str, Check] = {
    "dry_run": _boolean,
    "only_failed": _boolean,
    "only_new": _boolean,
    "run_on_latest_version": _boolean,
    "note": _note,
}
DAG_PATCH: dict[str, Check] = {"is_paused": _boolean}
POOL_PATCH: dict[str, Check] = {
    "pool": _text,
    "slots": _slots,
    "description": _text,
    "include_deferred": _boolean,
    "team_name": _text,
}
BACKFILL: dict[str, Check] = {
    "dag_id": _text,
    "from_date": _moment,
    "to_date": _moment,
    "run_backwards": _boolean,
    "dag_run_conf": lambda _: None,
    "reprocess_behavior": _reprocess,
    "max_active_runs": _count,
    "run_on_latest_version": _boolean,
}
MARKS = ("success", "failed", "skipped")
TASK_PATCH: dict[str, Check] = {
    "new_state": _mark,
    "note": _note,
    "include_upstream": _boolean,
    "include_downstream": _boolean,
    "include_future": _boolean,
    "include_past": _boolean,
}
TRIGGER: dict[str, Check] = {
    "dag_run_id": _text,
    "data_interval_start": _moment,
    "data_interval_end": _moment,
    "logical_date": _moment,
    "run_after": _moment,
    "conf": lambda _: None,
    "note": _note,
    "partition_key": _text,
}


def checked(body: Any, fields: dict[str, Check]) -> Json:
    """The body, all its faults at once. Raises Invalid."""
    if not isinstance(body, dict):
        raise Invalid([_fault("model_attributes_type", [], "Input should be a valid dictionary or object", body)])
    faults = [_judged(name, value, fields) for name, value in body.items()]
    found = [fault for fault in faults if fault is not None]
    if found:
        raise Invalid(found)
    return body


def clear_body(body: Any) -> ClearBody:
    """The body of clearTaskInstances. Raises Invalid."""
    raw = checked(body, CLEAR)
    if raw.get("only_failed") and raw.get("only_running"):
        _refuse("only_failed and only_running both are set to True", raw)
    if isinstance(raw.get("task_ids"), list) and not raw["task_ids"]:
        _refuse("task_ids list should have at least 1 element.", raw)
    known = {name: value for name, value in raw.items() if name in ClearBody.__dataclass_fields__}
    if raw.get("task_ids") is not None:
        known["task_ids"] = tuple((item, None) if isinstance(item, str) else tuple(item) for item in raw["task_ids"])
    return ClearBody(**known)


def required(body: Json, *names: str) -> Json:
    """The body, if it has these. Raises Invalid."""
    faults = [{**missing(name, body), "loc": ["body", name]} for name in names if name not in body]
    if faults:
        raise Invalid(faults)
    return body


def missing(name: str, body: Any) -> Json:
    """The fault of a field that is not there."""
    return {"type": "missing", "loc": [name], "msg": "Field required", "input": body}


def trigger_body(body: Any) -> Json:
    """The body of a new dagrun; its logical_date may be null but not missing. Raises Invalid."""
    raw = checked(body, TRIGGER)
    if "logical_date" not in raw:
        raise Invalid([_fault("missing", ["logical_date"], "Field required", raw)])
    return raw


def _judged(name: str, value: Any, fields: dict[str, Check]) -> Json | None:
    check = fields.get(name)
    said = check(value) if check else "extra_forbidden|Extra inputs are not permitted"
    if said is None:
        return None
    kind, message = said.split("|", 1)
    fault = _fault(kind, [name], message, value)
    return {**fault, "ctx": _CONTEXTS[name]} if name in _CONTEXTS else fault


def _fault(kind: str, place: list[str], message: str, value: Any) -> Json:
    return {"type": kind, "loc": ["body", *place], "msg": message, "input": value}


def _refuse(text: str, raw: Json) -> None:
    raise Invalid([{**_fault("value_error", [], f"Value error, {text}", raw), "ctx": {"error": {}}}])
